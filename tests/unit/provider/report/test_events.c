/* SPDX-License-Identifier: Apache-2.0 */
/* The events of a store in the log: a family of processes writes each once. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report/events.h"
#include "report/family.h"
#include "report/log.h"

#define CHILDREN 50

static char folder[] = "/tmp/consul-test-XXXXXX";
static char log_path[64];

/* Return how many lines of the log have some words. */
static size_t count(const char *words)
{
    static char text[1 << 16];
    FILE *file = fopen(log_path, "r");
    size_t len, found = 0;
    const char *at = text;

    assert_non_null(file);
    len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    fclose(file);
    for (; (at = strstr(at, words)) != NULL; at++)
        found++;
    return found;
}

/* Begin a family with an empty log, in which no process has written anything. */
static int set_up_each(void **state)
{
    prov_log_settings settings = {.sink = log_path, .level = CONSUL_LOG_DEBUG};

    unlink(log_path);
    prov_events_listen();
    if (!prov_log_open(&settings, NULL))
        return -1;
    memset(prov_family_memory(), 0, sizeof(prov_family));
    return 0;
}

/* Run a function in many children at a time, and wait for all. */
static void in_children(void (*work)(int number))
{
    int i, status;

    for (i = 0; i < CHILDREN; i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            work(i);
            _exit(0);
        }
    }
    for (i = 0; i < CHILDREN; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
}

static void tell(enum consul_event_kind kind, const char *service, uint64_t key, int64_t began)
{
    consul_event_tell(&(consul_event){
        .kind = kind, .service = service, .text = "cause", .key = key, .began = began});
}

static void tell_all(int number)
{
    tell(CONSUL_EVENT_ROOTS_CHANGED, NULL, 7, 0);
    tell(CONSUL_EVENT_LAST_KNOWN, "web", 0, 0);
    tell(CONSUL_EVENT_SLOT_GIVEN_UP, NULL, 0, 0);
    tell(CONSUL_EVENT_AGENT_LOST, NULL, 0, consul_now_ms());
}

/* The first test: a process that governs nothing is silent. */
static void test_bystanders(void **state)
{
    tell_all(0);
    assert_int_equal(count("\n"), 0);
}

static void note_twice(int number)
{
    bool is_start = prov_events_note_handshake(false);

    is_start |= prov_events_note_handshake(false);
    if (is_start)
        prov_log(&(prov_record){.event = "start", .message = "it starts"});
}

/* Of clients, the second handshake of all is the start; of servers, the first. */
static void test_the_start(void **state)
{
    in_children(note_twice);
    assert_int_equal(count("it starts"), 1);
    memset(prov_family_memory(), 0, sizeof(prov_family));
    assert_false(prov_events_note_handshake(false));
    assert_true(prov_events_note_handshake(true));
    assert_false(prov_events_note_handshake(true));
}

static void test_a_statement_is_made_once(void **state)
{
    in_children(tell_all);
    assert_int_equal(count("roots changed"), 1);
    assert_int_equal(count("last verdicts"), 1);
    assert_between(count("too few connections"), 1, 2); /* a minute may have begun in between */
    assert_int_equal(count("agent is lost: cause"), 1);
    tell(CONSUL_EVENT_ROOTS_CHANGED, NULL, 8, 0);
    tell(CONSUL_EVENT_LAST_KNOWN, "api", 0, 0);
    assert_int_equal(count("roots changed"), 2);
    assert_int_equal(count("last verdicts"), 2);
}

/* Say that a statement is news, of keys that have their place in the same set. */
static void state_in_turns(int number)
{
    uint64_t i;

    for (i = 0; i < 3 * PROV_FAMILY_WAYS; i++)
        if (prov_family_is_news(1 + i % PROV_FAMILY_WAYS * PROV_FAMILY_SETS))
            prov_log(&(prov_record){.event = "start", .message = "a key is news"});
}

/* As many statements as a set has places are each news once. One more makes it forget the oldest. */
static void test_statements_of_one_set(void **state)
{
    in_children(state_in_turns);
    assert_int_equal(count("a key is news"), PROV_FAMILY_WAYS);
    assert_true(prov_family_is_news(1 + PROV_FAMILY_WAYS * PROV_FAMILY_SETS));
    assert_false(prov_family_is_news(1 + PROV_FAMILY_WAYS * PROV_FAMILY_SETS));
    assert_true(prov_family_is_news(0) && prov_family_is_news(0));
}

static void tell_back(int number)
{
    tell(CONSUL_EVENT_AGENT_BACK, NULL, 0, consul_now_ms());
}

/*
 * The agent is lost and back in turns. A request from before its return does not lose it again. The answer to a request from
 * before the loss, which a thread reads late, does not bring it back.
 */
static void test_lost_and_back(void **state)
{
    int64_t began = consul_now_ms() - 1000;

    in_children(tell_back);
    assert_int_equal(count("answers again"), 0);
    tell(CONSUL_EVENT_AGENT_LOST, NULL, 0, began);
    tell(CONSUL_EVENT_AGENT_BACK, NULL, 0, began - 1);
    assert_int_equal(count("answers again"), 0);
    in_children(tell_back);
    assert_int_equal(count("answers again"), 1);
    tell(CONSUL_EVENT_AGENT_LOST, NULL, 0, began);
    assert_int_equal(count("agent is lost"), 1);
    tell(CONSUL_EVENT_AGENT_LOST, NULL, 0, consul_now_ms());
    assert_int_equal(count("agent is lost"), 2);
    in_children(tell_back);
    assert_int_equal(count("answers again"), 2);
}

static int set_up(void **state)
{
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(log_path, sizeof(log_path), "%s/log", folder);
    return 0;
}

static int clean_up(void **state)
{
    unlink(log_path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_bystanders, set_up_each),
        cmocka_unit_test_setup(test_the_start, set_up_each),
        cmocka_unit_test_setup(test_a_statement_is_made_once, set_up_each),
        cmocka_unit_test_setup(test_statements_of_one_set, set_up_each),
        cmocka_unit_test_setup(test_lost_and_back, set_up_each),
    };

    return cmocka_run_group_tests(tests, set_up, clean_up);
}
