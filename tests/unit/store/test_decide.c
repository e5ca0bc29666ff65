/* SPDX-License-Identifier: Apache-2.0 */
/* The decision on one peer: kept verdicts, a lost agent, and intentions that the agent does not heed. */
#include "unit.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "agent/authorize.h"
#include "cache/epoch.h"
#include "http_server.h"
#include "mint.h"
#include "store.h"
#include "store_fields.h"

#define TD "td.consul"
#define ID(service) "spiffe://" TD "/ns/default/dc/dc1/svc/" service
#define SETTLING 3000 /* in milliseconds: the first time of an epoch, in which it does not count */
#define TIMEOUT 600   /* above half of authorize_timeout, so that it proves a hang */
#define HOUR 3600000
#define JWT                                                                                        \
    "{\"web\": [{\"SourceName\": \"alice\", \"DestinationName\": \"web\", \"Action\": \"allow\", " \
    "\"JWT\": {\"Providers\": [{\"Name\": \"okta\"}]}}]}"

/* The milliseconds by which the clocks are ahead. */
static _Atomic int64_t ahead;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);
    int64_t ns = now->tv_nsec + atomic_load(&ahead) % 1000 * 1000000;

    now->tv_sec += (time_t)(atomic_load(&ahead) / 1000 + ns / 1000000000);
    now->tv_nsec = (long)(ns % 1000000000);
    return result;
}

static http_server *server;
static consul_store *store;
static consul_entry *own, *all; /* the intentions of the target, and of all services */
static consul_spiffe_id web, alice, bob;
static minted certificate;
static bool is_strict; /* on_agent_loss = refuse */

/* The agent. */
static http_reply verdict;     /* its answer to a question; without a body it is a yes */
static const char *intentions; /* its answer about the target's */
static int questions, lists;   /* how often it was asked for each */
static int64_t takes;          /* the time for an answer, in milliseconds */

static void handle(const http_request *request, http_reply *reply, void *arg)
{
    if (strcmp(request->target, CONSUL_AUTHORIZE_PATH) == 0) {
        questions++;
        atomic_fetch_add(&ahead, takes);
        *reply = verdict;
        if (reply->body == NULL)
            reply->body = "{\"Authorized\": true, \"Reason\": \"\"}";
    } else if (strncmp(request->target, "/v1/connect/intentions/match", 28) == 0) {
        lists++;
        reply->body = intentions;
    } else {
        reply->manner = verdict.manner; /* a probe */
    }
}

static const char *lookup(const char *name, void *arg)
{
    static char address[64];

    snprintf(address, sizeof(address), "127.0.0.1:%d", http_server_port(server));
    return strcmp(name, "address") == 0             ? address
           : strcmp(name, "on_agent_loss") == 0     ? (is_strict ? "refuse" : "last-known")
           : strcmp(name, "authorize_timeout") == 0 ? "1s"
                                                    : NULL;
}

static int set_up(void **state)
{
    static const consul_scope scope;
    consul_settings *settings;

    atomic_store(&ahead, 10 * SETTLING); /* also on a machine that has just begun */
    verdict = (http_reply){.status = 200};
    intentions = "{\"web\": []}";
    questions = lists = 0;
    takes = 0;
    server = http_server_start(NULL, handle, NULL);
    settings = consul_settings_new(lookup, NULL, NULL);
    store = settings == NULL ? NULL : consul_store_new(settings, NULL, NULL);
    if (store == NULL)
        return 1;
    own = consul_table_entry(store->table, CONSUL_KIND_INTENTIONS, "web", &scope, NULL);
    all = consul_table_all_intentions(store->table, &scope);
    return own == NULL || all == NULL;
}

static int set_up_strict(void **state)
{
    int failed;

    is_strict = true;
    failed = set_up(state);
    is_strict = false;
    return failed;
}

static int tear_down(void **state)
{
    consul_store_unref(store);
    http_server_stop(server);
    return 0;
}

static consul_error why;

/* Decide on a peer with a chain of its own, in a handshake. `*basis` may be NULL. */
static int decide_in(consul_asking handshake, const consul_spiffe_id *peer,
                     enum consul_basis *basis)
{
    unsigned char chain[CONSUL_DIGEST_LEN] = {1};
    enum consul_basis ignored;

    chain[1] = (unsigned char)peer->service[0];
    why = (consul_error){0};
    return consul_store_authorize(store, &web, certificate.cert, chain, peer, handshake,
                                  basis == NULL ? &ignored : basis, &why);
}

static int decide_within(const consul_spiffe_id *peer, enum consul_basis *basis, int64_t ms)
{
    consul_asking asking = consul_asking_now();

    asking.deadline = consul_deadline_after(ms);
    return decide_in(asking, peer, basis);
}

static int decide(const consul_spiffe_id *peer)
{
    return decide_within(peer, NULL, 60000);
}

/* Have a watch vouch for the present intentions from now on. The index changes with each change. */
static void watch(consul_entry *entry, uint64_t index)
{
    consul_entry_keep_epoch(entry, true, index, consul_deadline_after(HOUR));
}

static void pass(int64_t ms)
{
    atomic_fetch_add(&ahead, ms);
}

/* Get a yes of an epoch that counts. */
static void get_a_yes(void)
{
    watch(own, 5);
    pass(SETTLING);
    assert_int_equal(decide(&alice), 1);
    assert_int_equal(questions, 1);
}

/* Leave a question without an answer, and let the clocks stand still meanwhile. */
static void make_it_hang(void)
{
    int64_t began = consul_now_ms();

    consul_watch_note_handshake(store->watch); /* a process without one has no hang */
    verdict.manner = HTTP_HANG;
    assert_int_equal(decide_within(&bob, NULL, TIMEOUT), 0);
    assert_int_equal(why.reason, CONSUL_R_AGENT_TIMEOUT);
    pass(began - consul_now_ms());
}

static void keep_a_jwt(void)
{
    consul_intentions *unheeded;

    assert_true(consul_intentions_decode(JWT, strlen(JWT), &unheeded, NULL));
    consul_entry_keep_unheeded(own, unheeded);
    consul_intentions_unref(unheeded);
}

/* ---- kept verdicts ---- */

static void test_a_kept_yes(void **state)
{
    enum consul_basis basis;

    get_a_yes();
    assert_int_equal(decide_within(&alice, &basis, 60000), 1);
    assert_int_equal(basis, CONSUL_BASIS_KEPT);
    assert_int_equal(questions, 1);
    assert_int_equal(decide(&bob), 1); /* another peer */
    assert_int_equal(questions, 2);
    pass(2000);
    assert_int_equal(decide_within(&alice, &basis, 60000), 1);
    assert_int_equal(basis, CONSUL_BASIS_QUESTION);
    assert_int_equal(questions, 3);
}

static void test_without_a_watch(void **state)
{
    get_a_yes();
    consul_entry_stop_vouching(own);
    assert_int_equal(decide(&alice), 1);
    assert_int_equal(questions, 2);
}

/* Another query vouches for an epoch of its own, in which the agent was not asked yet. */
static void test_another_epoch(void **state)
{
    watch(all, 5);
    get_a_yes();
    consul_entry_stop_vouching(own);
    pass(1);
    assert_int_equal(decide(&alice), 1);
    assert_int_equal(questions, 2);
    assert_int_equal(decide(&alice), 1);
    assert_int_equal(questions, 2);
}

/* ---- a yes of another handshake, of the same time ---- */

/* Begin a handshake, and have another one get a yes meanwhile. */
static consul_asking get_a_yes_meanwhile(void)
{
    consul_asking handshake = consul_asking_now();

    handshake.deadline = consul_deadline_after(HOUR);
    pass(1);
    assert_int_equal(decide(&alice), 1);
    assert_int_equal(questions, 1);
    return handshake;
}

static void test_a_yes_meanwhile(void **state)
{
    consul_asking handshake = get_a_yes_meanwhile();
    enum consul_basis basis;

    assert_int_equal(decide_in(handshake, &alice, &basis), 1);
    assert_int_equal(basis, CONSUL_BASIS_QUESTION);
    assert_int_equal(questions, 1);
    assert_int_equal(decide_in(handshake, &bob, NULL), 1); /* another peer */
    assert_int_equal(questions, 2);
    assert_int_equal(decide(&alice), 1); /* a handshake that begins later */
    assert_int_equal(questions, 3);
}

static void test_an_old_yes_meanwhile(void **state)
{
    consul_asking handshake = get_a_yes_meanwhile();

    pass(50);
    assert_int_equal(decide_in(handshake, &alice, NULL), 1);
    assert_int_equal(questions, 2);
}

static void test_a_no_meanwhile(void **state)
{
    consul_asking handshake = get_a_yes_meanwhile();

    verdict.body = "{\"Authorized\": false, \"Reason\": \"\"}";
    assert_int_equal(decide(&alice), 0);
    assert_int_equal(decide_in(handshake, &alice, NULL), 0);
    assert_int_equal(questions, 3);
}

static void test_a_change_meanwhile(void **state)
{
    consul_entry *entries[] = {own, all};
    consul_asking handshake;
    size_t i;

    for (i = 0; i < 2; i++) {
        watch(entries[i], 5);
        pass(SETTLING);
        questions = 0;
        handshake = get_a_yes_meanwhile();
        watch(entries[i], 6);
        assert_int_equal(decide_in(handshake, &alice, NULL), 1);
        assert_int_equal(questions, 2);
        consul_entry_stop_vouching(entries[i]);
        pass(SETTLING);
    }
}

/* An agent that has left a question without an answer is asked, or not heard. */
static void test_a_hang_meanwhile(void **state)
{
    consul_asking handshake = get_a_yes_meanwhile();

    make_it_hang();
    assert_int_equal(decide_in(handshake, &alice, NULL), 0);
    assert_int_equal(why.reason, CONSUL_R_AGENT_TIMEOUT);
}

static void test_a_condition_meanwhile(void **state)
{
    consul_asking handshake = get_a_yes_meanwhile();

    keep_a_jwt();
    intentions = JWT;
    assert_int_equal(decide_in(handshake, &alice, NULL), 0);
    assert_error(&why, CONSUL_R_PEER_DENIED, "demands a JWT");
    assert_int_equal(questions, 1);
}

/* A no counts from its answer on. A yes to an earlier question yields to it, however late. */
static void test_a_no_that_took_long(void **state)
{
    consul_kept_verdict late = {.verdict = CONSUL_VERDICT_YES};
    unsigned char chain[CONSUL_DIGEST_LEN] = {1, 'a'};

    takes = 1000;
    verdict.body = "{\"Authorized\": false, \"Reason\": \"\"}";
    late.asked = consul_now_ms() + 500;
    assert_int_equal(decide(&alice), 0);
    assert_error(&why, CONSUL_R_PEER_DENIED, "alice");
    consul_verdicts_note(store->verdicts, &web, &alice, chain, &late);
    assert_int_equal(consul_verdicts_last(store->verdicts, &web, &alice).verdict,
                     CONSUL_VERDICT_NO);
}

static void test_no_plain_answer(void **state)
{
    static const http_reply answers[] = {{.status = 403, .body = "Permission denied"},
                                         {.status = 200, .body = "{}"},
                                         {.status = 429, .body = "too many requests"}};
    size_t i;

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        verdict = answers[i];
        assert_int_equal(decide(&alice), 0);
        assert_int_not_equal(why.reason, 0);
    }
}

/* ---- a lost agent ---- */

static void lose_the_agent(void)
{
    verdict = (http_reply){.status = 500, .body = "No cluster leader"};
}

static void test_last_known(void **state)
{
    enum consul_basis basis;

    assert_int_equal(decide(&alice), 1);
    lose_the_agent();
    pass(HOUR - 10000);
    assert_int_equal(decide_within(&alice, &basis, 60000), 1);
    assert_int_equal(basis, CONSUL_BASIS_LAST_KNOWN);
    assert_int_equal(decide(&bob), 0); /* there is no last word on him */
    pass(10000);
    assert_int_equal(decide(&alice), 0);
    assert_error(&why, CONSUL_R_AGENT_REFUSED, "it was admitted too long before");
}

static void test_last_known_is_off(void **state)
{
    assert_int_equal(decide(&alice), 1);
    lose_the_agent();
    assert_int_equal(decide(&alice), 0);
    assert_int_equal(why.reason, CONSUL_R_AGENT_REFUSED);
}

static void test_a_last_no(void **state)
{
    verdict.body = "{\"Authorized\": false, \"Reason\": \"\"}";
    assert_int_equal(decide(&alice), 0);
    lose_the_agent();
    assert_int_equal(decide(&alice), 0);
    assert_error(&why, CONSUL_R_AGENT_REFUSED, "it was denied before the agent was lost");
}

/* A token that counts no more ends an earlier yes. */
static void test_a_refused_token(void **state)
{
    assert_int_equal(decide(&alice), 1);
    verdict = (http_reply){.status = 403, .body = "Permission denied"};
    assert_int_equal(decide(&alice), 0);
    lose_the_agent();
    assert_int_equal(decide(&alice), 0);
}

static void test_a_change_before_the_loss(void **state)
{
    consul_entry *entries[] = {own, all};
    size_t i;

    for (i = 0; i < 2; i++) {
        watch(entries[i], 5);
        verdict = (http_reply){.status = 200};
        pass(SETTLING);
        assert_int_equal(decide(&alice), 1);
        lose_the_agent();
        consul_entry_stop_vouching(entries[i]);
        assert_int_equal(decide(&alice), 1);
        watch(entries[i], 6);
        consul_entry_stop_vouching(entries[i]);
        assert_int_equal(decide(&alice), 0);
        assert_error(&why, CONSUL_R_AGENT_REFUSED, "intentions have changed since");
        pass(SETTLING);
    }
}

/* No kept yes counts until the agent answers, but a last one where it may. */
static void test_a_hang(void **state)
{
    enum consul_basis basis;

    get_a_yes();
    make_it_hang();
    assert_int_equal(decide_within(&alice, &basis, 60000), 1);
    assert_int_equal(basis, CONSUL_BASIS_LAST_KNOWN);
    assert_int_equal(questions, 2);
}

static void test_a_hang_that_refuses(void **state)
{
    get_a_yes();
    make_it_hang();
    assert_int_equal(decide(&alice), 0);
    assert_int_equal(why.reason, CONSUL_R_AGENT_TIMEOUT);
}

/* ---- intentions that the agent does not heed ---- */

static void test_a_watched_condition(void **state)
{
    get_a_yes();
    keep_a_jwt();
    assert_int_equal(decide(&alice), 0);
    assert_error(&why, CONSUL_R_PEER_DENIED, "demands a JWT");
    assert_int_equal(questions, 1); /* the yes was a kept one */
    pass(2000);
    assert_int_equal(decide(&alice), 0);
    assert_int_equal(questions, 2);
    assert_int_equal(decide(&bob), 1);
    assert_int_equal(lists, 0);
}

/* A condition that no watch vouches for is looked at again before a refusal, but not often. */
static void test_a_condition_of_before(void **state)
{
    int i;

    keep_a_jwt();
    assert_int_equal(decide(&alice), 1);
    assert_int_equal(lists, 1);
    keep_a_jwt();
    intentions = JWT;
    for (i = 0; i < 20; i++)
        assert_int_equal(decide(&alice), 0);
    assert_error(&why, CONSUL_R_PEER_DENIED, "demands a JWT");
    assert_between(lists, 2, 5);
}

static int make_world(void **state)
{
    certificate = mint(NULL, (mint_order){.subject = "alice"});
    return !consul_spiffe_id_parse(ID("web"), strlen(ID("web")), &web, NULL)
           || !consul_spiffe_id_parse(ID("alice"), strlen(ID("alice")), &alice, NULL)
           || !consul_spiffe_id_parse(ID("bob"), strlen(ID("bob")), &bob, NULL);
}

static int free_world(void **state)
{
    minted_free(&certificate);
    return 0;
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define STRICT(test) cmocka_unit_test_setup_teardown(test, set_up_strict, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(test_a_kept_yes),
        UNIT(test_without_a_watch),
        UNIT(test_another_epoch),
        UNIT(test_a_yes_meanwhile),
        UNIT(test_an_old_yes_meanwhile),
        UNIT(test_a_no_meanwhile),
        UNIT(test_a_change_meanwhile),
        STRICT(test_a_hang_meanwhile),
        UNIT(test_a_condition_meanwhile),
        UNIT(test_a_no_that_took_long),
        UNIT(test_no_plain_answer),
        UNIT(test_last_known),
        STRICT(test_last_known_is_off),
        UNIT(test_a_last_no),
        UNIT(test_a_refused_token),
        UNIT(test_a_change_before_the_loss),
        UNIT(test_a_hang),
        STRICT(test_a_hang_that_refuses),
        UNIT(test_a_watched_condition),
        UNIT(test_a_condition_of_before),
    };

    return cmocka_run_group_tests(tests, make_world, free_world);
}
