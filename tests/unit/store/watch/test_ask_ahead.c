/* SPDX-License-Identifier: Apache-2.0 */
/* Questions ahead: the answers that count for a handshake, and the failures that do it no harm. */
#include "base/lock.h"
#include "watch/ahead_queries.h"
#include "watch/ask_ahead.h"
#include "watch/thread.h"

#include "unit.h" /* after it: cmocka has names of its own */

#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "live_agent.h"

#define LONG 600000 /* milliseconds, longer than any test */
#define BODY(service)                                                                             \
    "{\"Target\":\"web\",\"ClientCertURI\":\"spiffe://" LIVE_TD "/ns/default/dc/dc1/svc/" service \
    "\",\"ClientCertSerial\":\"01\"}"
#define FRIEND BODY("friend")
#define FOE BODY("foe")

typedef struct fixture {
    live_agent *agent;
    consul_settings settings;
    consul_agent *client;
    consul_table *live;
    consul_watch *watch;
    consul_entry *roots;
} fixture;

static int set_up(void **state)
{
    static const consul_scope scope;
    fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->agent = live_agent_start();
    live_agent_issue(f->agent);
    f->settings = (consul_settings){.address = strdup(live_agent_address(f->agent)),
                                    .connect_timeout = 5000,
                                    .request_timeout = 30000,
                                    .authorize_timeout = 10000,
                                    .watch_wait = LONG};
    f->client = consul_agent_new(&f->settings, NULL);
    f->live = consul_table_new(NULL, NULL);
    f->watch = consul_watch_new(f->client, NULL, f->live, NULL, NULL);
    assert_non_null(f->watch);
    f->watch->idle_after = LONG;
    f->roots = consul_table_entry(f->live, CONSUL_KIND_ROOTS, "", &scope, NULL);
    consul_watch_note_handshake(f->watch);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    consul_watch_free(f->watch);
    consul_table_free(f->live);
    consul_agent_free(f->client);
    live_agent_stop(f->agent);
    free(f->settings.address);
    free(f);
    return 0;
}

/* Return true, and for a question that was asked too long ago on a busy machine, too. */
static bool is_in_time(bool is_yes, int64_t since)
{
    return is_yes || consul_now_us() - since >= CONSUL_AHEAD_AGE_US;
}

static bool knows(fixture *f, const char *body, int64_t since)
{
    int64_t asked;

    return consul_watch_knows_ahead(f->watch, body, since, consul_deadline_after(10000), &asked);
}

static void test_answers(void **state)
{
    fixture *f = *state;
    int64_t since = consul_now_us(), asked = 0;
    consul_roots *roots;

    consul_watch_ask_ahead(f->watch, f->roots, strdup(FRIEND), CONSUL_NO_DEADLINE);
    consul_watch_await_roots(f->watch, f->roots, since, consul_deadline_after(10000));
    roots = consul_entry_roots(f->roots, since);
    assert_non_null(roots);
    consul_roots_unref(roots);
    assert_true(is_in_time(
        consul_watch_knows_ahead(f->watch, FRIEND, since, consul_deadline_after(10000), &asked),
        since));
    assert_between(asked, since / 1000, consul_now_ms());
    assert_int_equal(live_agent_requests(f->agent, LIVE_ROOTS), 1);
    assert_int_equal(live_agent_requests(f->agent, LIVE_AUTHORIZE), 1);
    assert_null(consul_entry_roots(f->roots, consul_now_us())); /* no watch vouches for them */
}

/* A yes counts for its own question, for a handshake that began before it, and not for long. */
static void test_what_counts(void **state)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    fixture *f = *state;
    int64_t since = consul_now_us(), until;

    consul_watch_ask_ahead(f->watch, NULL, strdup(FRIEND), CONSUL_NO_DEADLINE);
    assert_false(knows(f, FOE, since));
    assert_false(knows(f, FRIEND, consul_now_us()));
    assert_true(is_in_time(knows(f, FRIEND, since), since));
    until = consul_now_us() + CONSUL_AHEAD_AGE_US;
    while (consul_now_us() < until)
        nanosleep(&pause, NULL);
    assert_false(knows(f, FRIEND, since));
    assert_int_equal(live_agent_requests(f->agent, LIVE_AUTHORIZE), 1);
}

/* Answer a waiting question. */
static void *answer_late(void *arg)
{
    const struct timespec pause = {.tv_nsec = 2000 * CONSUL_AHEAD_AGE_US};
    live_agent *agent = arg;

    nanosleep(&pause, NULL);
    live_agent_behave(agent, LIVE_AUTHORIZE, LIVE_ANSWER);
    return NULL;
}

/* The age of an answer is no matter where the handshake has waited for it. */
static void test_a_late_answer(void **state)
{
    fixture *f = *state;
    int64_t since = consul_now_us();
    pthread_t thread;

    live_agent_behave(f->agent, LIVE_AUTHORIZE, LIVE_HANG);
    consul_watch_ask_ahead(f->watch, NULL, strdup(FRIEND), CONSUL_NO_DEADLINE);
    live_agent_request(f->agent, LIVE_AUTHORIZE, 0);
    assert_int_equal(pthread_create(&thread, NULL, answer_late, f->agent), 0);
    assert_true(knows(f, FRIEND, since));
    assert_true(consul_now_us() - since > CONSUL_AHEAD_AGE_US);
    pthread_join(thread, NULL);
}

static void test_no(void **state)
{
    fixture *f = *state;
    int64_t since = consul_now_us();

    consul_watch_ask_ahead(f->watch, NULL, strdup(FOE), CONSUL_NO_DEADLINE);
    assert_false(knows(f, FOE, since));
    assert_int_equal(live_agent_requests(f->agent, LIVE_AUTHORIZE), 1);
}

/* A handshake that comes meanwhile has no part in the question, and sends no other one of its kind. */
static void test_one_at_a_time(void **state)
{
    fixture *f = *state;
    int64_t first = consul_now_us(), second;

    live_agent_behave(f->agent, LIVE_AUTHORIZE, LIVE_HANG);
    consul_watch_ask_ahead(f->watch, NULL, strdup(FRIEND), CONSUL_NO_DEADLINE);
    live_agent_request(f->agent, LIVE_AUTHORIZE, 0);
    second = consul_now_us();
    consul_watch_ask_ahead(f->watch, NULL, strdup(FRIEND), CONSUL_NO_DEADLINE);
    assert_false(knows(f, FRIEND, second)); /* at once */
    assert_false(
        consul_watch_knows_ahead(f->watch, FRIEND, first, consul_deadline_after(1), &second));
    assert_int_equal(live_agent_requests(f->agent, LIVE_AUTHORIZE), 1);
}

/* An agent that leaves the question is found to hang, as by a handshake's own question. */
static void test_silence(void **state)
{
    fixture *f = *state;
    consul_request request = {.path = CONSUL_AUTHORIZE_PATH};
    int64_t since = consul_now_us();

    f->settings.authorize_timeout = 300;
    live_agent_behave(f->agent, LIVE_AUTHORIZE, LIVE_HANG);
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_HANG);
    consul_watch_ask_ahead(f->watch, f->roots, strdup(FRIEND), CONSUL_NO_DEADLINE);
    assert_false(knows(f, FRIEND, since));
    assert_int_equal(consul_watch_agent_hangs(f->watch, &request), CONSUL_R_AGENT_TIMEOUT);
}

static void test_failures(void **state)
{
    fixture *f = *state;
    int64_t since = consul_now_us();

    live_agent_behave(f->agent, LIVE_AUTHORIZE, LIVE_FAIL);
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_FAIL);
    consul_watch_ask_ahead(f->watch, f->roots, strdup(FRIEND), CONSUL_NO_DEADLINE);
    assert_false(knows(f, FRIEND, since));
    consul_watch_await_roots(f->watch, f->roots, since, consul_deadline_after(10000));
    assert_null(consul_entry_roots(f->roots, CONSUL_EVER));
}

/* The thread asks without a slot, and takes one from the second handshake on. */
static void test_the_thread_becomes_a_watch(void **state)
{
    fixture *f = *state;
    const consul_watch_thread *thread;
    int64_t since = consul_now_us();

    consul_watch_ask_ahead(f->watch, NULL, strdup(FRIEND), CONSUL_NO_DEADLINE);
    assert_true(is_in_time(knows(f, FRIEND, since), since));
    thread = f->watch->thread;
    assert_non_null(thread);
    assert_int_equal(live_agent_requests(f->agent, LIVE_ROOTS), 0);
    consul_table_entry(f->live, CONSUL_KIND_ROOTS, "", &(consul_scope){.ns = ""}, NULL);
    consul_watch_note_handshake(f->watch);
    assert_int_equal(live_agent_request(f->agent, LIVE_ROOTS, 1).wait, LONG);
    assert_ptr_equal(f->watch->thread, thread);
}

/* A client that makes one connection needs no thread, and asks by itself. */
static void test_roots_alone_start_no_thread(void **state)
{
    fixture *f = *state;
    int64_t since = consul_now_us();

    consul_watch_ask_ahead(f->watch, f->roots, NULL, CONSUL_NO_DEADLINE);
    assert_null(f->watch->thread);
    consul_watch_await_roots(f->watch, f->roots, since, consul_deadline_after(10000));
    assert_int_equal(live_agent_requests(f->agent, LIVE_ROOTS), 0);
}

/* Ask both, and return the connection of the request for the roots, which has this number. */
static int connection_of(fixture *f, int number)
{
    int64_t since = consul_now_us();

    consul_watch_ask_ahead(f->watch, f->roots, strdup(FRIEND), CONSUL_NO_DEADLINE);
    consul_watch_await_roots(f->watch, f->roots, since, consul_deadline_after(10000));
    knows(f, FRIEND, since);
    return live_agent_request(f->agent, LIVE_ROOTS, number).connection;
}

/* Wait until a query has its index. A leaf that comes before its roots is asked for again. */
static void wait_for_news(fixture *f, enum live_what what)
{
    int number = 0;

    while (live_agent_request(f->agent, what, number).index == 0)
        number++;
}

/* Have the thread take a slot, and make its two queries. */
static void watch_it(fixture *f)
{
    static const consul_scope scope;

    consul_table_entry(f->live, CONSUL_KIND_LEAF, "web", &scope, NULL);
    consul_watch_note_handshake(f->watch);
    wait_for_news(f, LIVE_ROOTS);
    wait_for_news(f, LIVE_LEAF);
}

/* A watch keeps one connection for the roots, beside its two. The question about a peer has its own. */
static void test_a_kept_connection(void **state)
{
    fixture *f = *state;
    int first;

    watch_it(f);
    first = connection_of(f, 2);
    assert_int_equal(connection_of(f, 3), first);
    assert_int_equal(connection_of(f, 4), first);
    live_agent_wait_for_open(f->agent, 3);
    assert_int_equal(live_agent_opened(f->agent), 3 + 3);
}

/* A thread without a slot may be one of very many. */
static void test_no_connection_is_kept_without_a_slot(void **state)
{
    fixture *f = *state;
    int first = connection_of(f, 0);

    live_agent_wait_for_open(f->agent, 0);
    assert_int_not_equal(connection_of(f, 1), first);
    live_agent_wait_for_open(f->agent, 0);
}

/* An agent hangs on a kept connection as on a new one. */
static void test_silence_on_a_kept_connection(void **state)
{
    fixture *f = *state;
    consul_request request = {.path = CONSUL_AUTHORIZE_PATH};
    int64_t since;
    int first;

    watch_it(f);
    first = connection_of(f, 2);
    assert_int_equal(consul_watch_agent_hangs(f->watch, &request), 0);
    f->settings.authorize_timeout = 300;
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_HANG);
    since = consul_now_us();
    consul_watch_ask_ahead(f->watch, f->roots, NULL, CONSUL_NO_DEADLINE);
    consul_watch_await_roots(f->watch, f->roots, since, consul_deadline_after(10000));
    assert_int_equal(live_agent_request(f->agent, LIVE_ROOTS, 3).connection, first);
    assert_int_equal(consul_watch_agent_hangs(f->watch, &request), CONSUL_R_AGENT_TIMEOUT);
}

/* A process that was held up finds its time over, and the answer there. The agent does not hang. */
static void test_an_answer_that_nobody_read(void **state)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    fixture *f = *state;
    consul_request request = {.path = CONSUL_AUTHORIZE_PATH};
    consul_deadline until;
    int64_t since;

    watch_it(f);
    connection_of(f, 2);
    f->settings.authorize_timeout = 300;
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_HANG);
    since = consul_now_us();
    consul_watch_ask_ahead(f->watch, f->roots, NULL, CONSUL_NO_DEADLINE);
    live_agent_request(f->agent, LIVE_ROOTS, 3);
    pthread_mutex_lock(&consul_work_lock);
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_ANSWER);
    until = consul_deadline_after(400);
    while (consul_now_ms() < until)
        nanosleep(&pause, NULL);
    pthread_mutex_unlock(&consul_work_lock);
    consul_watch_await_roots(f->watch, f->roots, since, consul_deadline_after(10000));
    assert_int_equal(consul_watch_agent_hangs(f->watch, &request), 0);
}

/* The end of the thread ends the wait of a handshake. */
static void test_the_end_of_the_thread(void **state)
{
    fixture *f = *state;
    int64_t since = consul_now_us();

    live_agent_behave(f->agent, LIVE_AUTHORIZE, LIVE_HANG);
    consul_watch_ask_ahead(f->watch, NULL, strdup(FRIEND), CONSUL_NO_DEADLINE);
    live_agent_request(f->agent, LIVE_AUTHORIZE, 0);
    consul_watch_close(f->watch);
    assert_false(knows(f, FRIEND, since));
    consul_watch_ask_ahead(f->watch, f->roots, strdup(FRIEND),
                           CONSUL_NO_DEADLINE); /* closed for good */
    assert_false(knows(f, FRIEND, since));
    assert_int_equal(live_agent_requests(f->agent, LIVE_AUTHORIZE), 1);
}

/* At the end of a process, a question may go between the look of the thread and its begin. */
static void test_a_question_that_has_gone(void **state)
{
    fixture *f = *state;
    consul_query q = {.entry = NULL};
    int kind;

    for (kind = 0; kind < CONSUL_AHEAD_KINDS; kind++) {
        assert_false(consul_ahead_begin(f->watch, &q, (enum consul_ahead_kind)kind));
        assert_null(q.ahead);
    }
}

/* A thread that ends answers its questions, sent or not. A handshake may wait for each of them. */
static void test_the_end_of_all(void **state)
{
    consul_ahead *all[CONSUL_AHEAD_KINDS] = {NULL}, *awaited;
    bool is_answered;

    awaited = all[CONSUL_AHEAD_VERDICT] =
        consul_ahead_new(NULL, strdup(FRIEND), CONSUL_NO_DEADLINE);
    assert_non_null(awaited);
    consul_lock();
    awaited->holders++;
    consul_ahead_end_all(all);
    is_answered = awaited->is_answered && awaited->verdict == CONSUL_VERDICT_UNASKED;
    consul_ahead_release(awaited);
    consul_unlock();
    assert_true(is_answered);
    assert_null(all[CONSUL_AHEAD_VERDICT]);
}

/* A child has no question of its parent's, and can ask. */
static void test_fork(void **state)
{
    fixture *f = *state;
    int64_t since = consul_now_us();
    int status;
    pid_t child;

    live_agent_behave(f->agent, LIVE_AUTHORIZE, LIVE_HANG);
    consul_watch_ask_ahead(f->watch, NULL, strdup(FRIEND), CONSUL_NO_DEADLINE);
    live_agent_request(f->agent, LIVE_AUTHORIZE, 0);
    child = fork();
    if (child == 0)
        _exit(knows(f, FRIEND, since) || f->watch->ahead[CONSUL_AHEAD_VERDICT] != NULL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_answers),
        TEST(test_what_counts),
        TEST(test_a_late_answer),
        TEST(test_no),
        TEST(test_one_at_a_time),
        TEST(test_silence),
        TEST(test_failures),
        TEST(test_the_thread_becomes_a_watch),
        TEST(test_roots_alone_start_no_thread),
        TEST(test_a_kept_connection),
        TEST(test_no_connection_is_kept_without_a_slot),
        TEST(test_silence_on_a_kept_connection),
        TEST(test_an_answer_that_nobody_read),
        TEST(test_the_end_of_the_thread),
        TEST(test_a_question_that_has_gone),
        cmocka_unit_test(test_the_end_of_all),
        TEST(test_fork),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
