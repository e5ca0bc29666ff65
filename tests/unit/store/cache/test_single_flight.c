/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions that are asked at a time: equal ones are one. No handshake gets an answer to a question
 * from before its own. The linker puts two functions of this file before those of base/: meson.build.
 */
#include "unit.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/lock.h"
#include "cache/single_flight.h"
#include "cache/table.h"
#include "watch/watch.h"

#define LONG_MS 60000 /* longer than any test */

/* Stand between cache/single_flight.c and the functions of base/, which are the __real ones. */
bool __wrap_consul_condition_wait(pthread_cond_t *condition, consul_deadline deadline);
bool __real_consul_condition_wait(pthread_cond_t *condition, consul_deadline deadline);
consul_deadline __wrap_consul_deadline_after(int64_t ms);
consul_deadline __real_consul_deadline_after(int64_t ms);

static int64_t queued_ms;       /* in place of CONSUL_QUEUED_MS */
static unsigned waiting, waits; /* threads, and how often any has; under the lock of base/ */

static const char store[] = "a store, compared and not looked at", other_store[] = "another";
static const unsigned char peer[CONSUL_DIGEST_LEN] = {1}, other_peer[CONSUL_DIGEST_LEN] = {2};
static consul_spiffe_id target = {.uri = "spiffe://td.consul/ns/default/dc/dc1/svc/web",
                                  .service = "web"},
                        other_target = {.uri = "spiffe://td.consul/ns/default/dc/dc1/svc/api",
                                        .service = "api"};

/* An agent that answers when the test lets it, with its opinion at the time of the question. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int asked, let; /* how many questions have come, and may be answered */
static enum consul_verdict opinion;

bool __wrap_consul_condition_wait(pthread_cond_t *condition, consul_deadline deadline)
{
    bool goes_on;

    waits++;
    waiting++;
    goes_on = __real_consul_condition_wait(condition, deadline);
    waiting--;
    return goes_on;
}

consul_deadline __wrap_consul_deadline_after(int64_t ms)
{
    return __real_consul_deadline_after(ms == CONSUL_QUEUED_MS ? queued_ms : ms);
}

static int set_up(void **state)
{
    queued_ms = LONG_MS;
    waiting = waits = 0;
    asked = let = 0;
    opinion = CONSUL_VERDICT_YES;
    return 0;
}

static enum consul_verdict ask(void *arg, consul_error *err)
{
    enum consul_verdict verdict;
    int number;

    pthread_mutex_lock(&lock);
    number = ++asked;
    verdict = opinion;
    pthread_cond_broadcast(&changed);
    while (let < number)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    if (verdict != CONSUL_VERDICT_YES)
        consul_error_set(err, CONSUL_R_PEER_DENIED, "question %d", number);
    return verdict;
}

static void wait_until_asked(int number)
{
    pthread_mutex_lock(&lock);
    while (asked < number)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void let_answer(int up_to)
{
    pthread_mutex_lock(&lock);
    let = up_to;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void change_opinion(enum consul_verdict to)
{
    pthread_mutex_lock(&lock);
    opinion = to;
    pthread_mutex_unlock(&lock);
}

/* While it runs it is a copy of the test's, which may be left by a failed assertion. */
typedef struct handshake {
    struct handshake *next, *copy;
    pthread_t thread;
    const void *store;
    const consul_spiffe_id *target;
    const unsigned char *peer;
    bool of_no_peer;
    int64_t patience; /* ms */
    enum consul_verdict verdict;
    consul_error err;
} handshake;

static handshake *running;

static void *run(void *arg)
{
    handshake *h = arg;

    h->verdict = consul_single_flight(h->store, h->of_no_peer ? NULL : h->target,
                                      h->of_no_peer ? NULL : h->peer,
                                      consul_deadline_after(h->patience), ask, NULL, &h->err);
    return NULL;
}

static void begin(handshake *h)
{
    if (h->store == NULL)
        h->store = store;
    if (h->target == NULL)
        h->target = &target;
    if (h->peer == NULL)
        h->peer = peer;
    if (h->patience == 0)
        h->patience = LONG_MS;
    h->copy = malloc(sizeof(*h));
    assert_non_null(h->copy);
    *h->copy = *h;
    assert_int_equal(pthread_create(&h->copy->thread, NULL, run, h->copy), 0);
    h->copy->next = running;
    running = h->copy;
}

static enum consul_verdict end(handshake *h)
{
    handshake **link = &running;

    pthread_join(h->copy->thread, NULL);
    while (*link != h->copy)
        link = &(*link)->next;
    *link = h->copy->next;
    h->verdict = h->copy->verdict;
    h->err = h->copy->err;
    free(h->copy);
    return h->verdict;
}

/* Let the handshakes end. After a failure some run on, in the way of the next test. */
static int tear_down(void **state)
{
    let_answer(INT_MAX);
    while (running != NULL) {
        handshake *h = running;

        running = h->next;
        pthread_join(h->thread, NULL);
        free(h);
    }
    return 0;
}

/* Wait until so many threads wait for another's answer. */
static void wait_until_waiting(unsigned threads)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    bool so_many = false;

    while (!so_many) {
        consul_lock();
        so_many = waiting == threads;
        consul_unlock();
        nanosleep(&pause, NULL);
    }
}

/* Check that no question of a test is left that another handshake could wait for. */
static void assert_nothing_left(bool of_no_peer)
{
    handshake next = {.of_no_peer = of_no_peer};
    unsigned before = waits;

    let_answer(LONG_MS);
    begin(&next);
    assert_int_equal(end(&next), opinion);
    assert_int_equal(waits, before);
}

/*
 * A handshake that comes while another asks gets the answer to a later question. The agent has
 * another opinion since the first question, and none of them gets the old one.
 */
static void test_later_ones_share(void **state)
{
    handshake first = {.store = store}, later[20] = {{.store = store}};
    int i;

    begin(&first);
    wait_until_asked(1);
    for (i = 0; i < 20; i++)
        begin(&later[i]);
    wait_until_waiting(20);
    change_opinion(CONSUL_VERDICT_NO);
    let_answer(2);
    assert_int_equal(end(&first), CONSUL_VERDICT_YES);
    for (i = 0; i < 20; i++) {
        assert_int_equal(end(&later[i]), CONSUL_VERDICT_NO);
        assert_error(&later[i].err, CONSUL_R_PEER_DENIED, "question 2");
    }
    assert_int_equal(asked, 2);
    assert_nothing_left(false);
}

/* An agent that takes its time is not waited for twice over. */
static void test_slow_agent(void **state)
{
    handshake handshakes[3] = {{.store = store}};
    int i;

    queued_ms = 1;
    for (i = 0; i < 3; i++) {
        begin(&handshakes[i]);
        wait_until_asked(i + 1); /* without an answer to the earlier ones */
    }
    let_answer(3);
    for (i = 0; i < 3; i++)
        assert_int_equal(end(&handshakes[i]), CONSUL_VERDICT_YES);
    assert_nothing_left(false);
}

/* Only one question about strangers is asked at a time, however slow the agent is. */
static void test_one_at_a_time(void **state)
{
    handshake first = {.of_no_peer = true}, others[3] = {{.of_no_peer = true},
                                                         {.of_no_peer = true},
                                                         {.of_no_peer = true, .patience = 1}};
    int i;

    queued_ms = 0;
    begin(&first);
    wait_until_asked(1);
    for (i = 0; i < 2; i++) {
        begin(&others[i]);
        wait_until_waiting(1 + (unsigned)i);
    }
    begin(&others[2]);
    assert_int_equal(end(&others[2]), CONSUL_VERDICT_UNASKED);
    assert_int_equal(asked, 1);
    let_answer(2);
    assert_int_equal(end(&first), CONSUL_VERDICT_YES);
    assert_int_equal(end(&others[0]), CONSUL_VERDICT_YES);
    assert_int_equal(end(&others[1]), CONSUL_VERDICT_YES);
    assert_int_equal(asked, 2);
    assert_nothing_left(true);
}

/* Another client, another service, another instance of the provider: none waits for any other. */
static void test_others_are_apart(void **state)
{
    handshake first = {.store = store}, others[] = {
                                            {.peer = other_peer},
                                            {.target = &other_target},
                                            {.store = other_store},
                                        };
    int i;

    begin(&first);
    wait_until_asked(1);
    change_opinion(CONSUL_VERDICT_NO);
    for (i = 0; i < 3; i++) {
        begin(&others[i]);
        wait_until_asked(2 + i);
    }
    let_answer(4);
    assert_int_equal(end(&first), CONSUL_VERDICT_YES);
    for (i = 0; i < 3; i++)
        assert_int_equal(end(&others[i]), CONSUL_VERDICT_NO);
}

/* Chains of which no digest could be made are not one chain. */
static void test_no_digest(void **state)
{
    static const unsigned char none[CONSUL_DIGEST_LEN];
    handshake handshakes[3] = {{.peer = none}, {.peer = none}, {.peer = none}};
    int i;

    queued_ms = 1;
    for (i = 0; i < 3; i++) {
        change_opinion(i == 1 ? CONSUL_VERDICT_NO : CONSUL_VERDICT_YES);
        begin(&handshakes[i]);
        wait_until_asked(i + 1);
    }
    let_answer(3);
    for (i = 0; i < 3; i++)
        assert_int_equal(end(&handshakes[i]), i == 1 ? CONSUL_VERDICT_NO : CONSUL_VERDICT_YES);
    assert_int_equal(waits, 0);
}

/* A handshake that has joined another's question waits no longer than it may. */
static void test_deadline(void **state)
{
    handshake first = {.store = store}, second = {.store = store}, third = {.patience = 1};

    begin(&first);
    wait_until_asked(1);
    begin(&second);
    wait_until_waiting(1);
    begin(&third);
    assert_int_equal(end(&third), CONSUL_VERDICT_UNASKED);
    assert_error(&third.err, CONSUL_R_AGENT_TIMEOUT, "may connect to \"web\"");
    let_answer(2);
    assert_int_equal(end(&first), CONSUL_VERDICT_YES);
    assert_int_equal(end(&second), CONSUL_VERDICT_YES);
    assert_nothing_left(false);
}

/* A handshake without an answer of its own does not speak for the others. */
static void test_failures_are_not_shared(void **state)
{
    handshake first = {.store = store}, second = {.store = store}, third = {.store = store};

    begin(&first);
    wait_until_asked(1);
    begin(&second);
    wait_until_waiting(1);
    begin(&third);
    wait_until_waiting(2);
    change_opinion(CONSUL_VERDICT_LOST);
    let_answer(1);
    wait_until_asked(2);
    change_opinion(CONSUL_VERDICT_YES);
    let_answer(3);
    assert_int_equal(end(&first), CONSUL_VERDICT_YES);
    assert_int_equal(end(&second), CONSUL_VERDICT_LOST);
    assert_int_equal(end(&third), CONSUL_VERDICT_YES);
    assert_int_equal(asked, 3);
    assert_nothing_left(false);
}

/* A process that is forked while others ask can ask, too, and waits for none of them. */
static void test_fork(void **state)
{
    static char address[] = "http://127.0.0.1:1";
    consul_settings settings = {.address = address};
    consul_agent *agent = consul_agent_new(&settings, NULL);
    consul_table *live = consul_table_new(NULL, NULL);
    consul_watch *watch =
        consul_watch_new(agent, NULL, live, NULL, NULL); /* for its fork handlers */
    handshake first = {.store = store}, second = {.store = store};
    int status;
    pid_t pid;

    begin(&first);
    wait_until_asked(1);
    begin(&second);
    wait_until_waiting(1);
    pthread_mutex_lock(&lock); /* no other thread has it then, in the child */
    pid = fork();
    if (pid == 0) {
        handshake own = {.store = store, .target = &target, .peer = peer, .patience = 1};

        let = LONG_MS;
        pthread_mutex_unlock(&lock);
        run(&own); /* had it joined the second one, it would be late */
        _exit(own.verdict == CONSUL_VERDICT_YES ? 0 : 1);
    }
    pthread_mutex_unlock(&lock);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    let_answer(2);
    assert_int_equal(end(&first), CONSUL_VERDICT_YES);
    assert_int_equal(end(&second), CONSUL_VERDICT_YES);
    consul_watch_free(watch);
    consul_table_free(live);
    consul_agent_free(agent);
}

static enum consul_verdict ask_in_a_fibre(void *arg, consul_error *err)
{
    int *depth = arg;

    if (++*depth == 2)
        return CONSUL_VERDICT_YES;
    return consul_single_flight(store, &target, peer, consul_deadline_after(LONG_MS),
                                ask_in_a_fibre, depth, err);
}

/* A thread may have several handshakes, each in a fibre. None waits for another one of its own thread. */
static void test_fibres(void **state)
{
    int depth = 0;

    queued_ms = 100;
    assert_int_equal(consul_single_flight(store, &target, peer, consul_deadline_after(LONG_MS),
                                          ask_in_a_fibre, &depth, NULL),
                     CONSUL_VERDICT_YES);
    assert_int_equal(depth, 2);
    assert_int_equal(waits, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_later_ones_share, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_agent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_are_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_digest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failures_are_not_shared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fork, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fibres, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
