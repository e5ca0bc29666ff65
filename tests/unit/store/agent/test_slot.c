/* SPDX-License-Identifier: Apache-2.0 */
/* The slots of processes that watch: as many as there are, and given up when they are asked for. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/curl_tls.h"
#include "agent/slot.h"

#define SLOTS 32
#define ASKED 4

static consul_settings settings;

typedef struct fixture {
    consul_agent *agent;
    int slots[SLOTS];
} fixture;

static int set_up(void **state)
{
    static fixture f;
    static char address[64];
    int i;

    /* Slots are the host's: this process has an agent of its own. */
    snprintf(address, sizeof(address), "agent-%d.invalid:1", (int)getpid());
    settings.address = address;
    f.agent = consul_agent_new(&settings, NULL);
    assert_non_null(f.agent);
    for (i = 0; i < SLOTS; i++)
        f.slots[i] = -1;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    int i;

    for (i = 0; i < SLOTS; i++) {
        if (f->slots[i] >= 0)
            close(f->slots[i]);
    }
    consul_agent_free(f->agent);
    return 0;
}

static void ask_for_some(const consul_agent *agent)
{
    consul_descriptor word = consul_no_descriptor;

    consul_slot_ask_for_some(agent, &word);
    assert_int_equal(word.fd, -1);
}

static int asked_for(const fixture *f)
{
    int i, asked = 0;

    for (i = 0; i < SLOTS; i++)
        asked += f->slots[i] >= 0 && consul_slot_is_asked_for(f->slots[i]);
    return asked;
}

static void test_so_many_and_no_more(void **state)
{
    fixture *f = *state;
    int i;

    for (i = 0; i < SLOTS; i++) {
        f->slots[i] = consul_slot_take(f->agent);
        assert_true(f->slots[i] >= 0);
    }
    assert_int_equal(consul_slot_take(f->agent), -1);
    close(f->slots[7]);
    f->slots[7] = consul_slot_take(f->agent);
    assert_true(f->slots[7] >= 0);
}

static void test_each_agent_has_its_own(void **state)
{
    fixture *f = *state;
    char nowhere[] = "unix:///nowhere";
    consul_settings others = {.address = nowhere};
    consul_agent *other = consul_agent_new(&others, NULL);
    int i, fd;

    assert_non_null(other);
    for (i = 0; i < SLOTS; i++)
        f->slots[i] = consul_slot_take(f->agent);
    fd = consul_slot_take(other);
    assert_true(fd >= 0);
    ask_for_some(f->agent);
    assert_false(consul_slot_is_asked_for(fd));
    close(fd);
    consul_agent_free(other);
}

static void test_some_are_asked_for(void **state)
{
    fixture *f = *state;
    int i;

    for (i = 0; i < SLOTS; i++)
        f->slots[i] = consul_slot_take(f->agent);
    assert_int_equal(asked_for(f), 0);
    ask_for_some(f->agent);
    assert_int_equal(asked_for(f), ASKED);
    assert_int_equal(asked_for(f), 0); /* each has heard of it once */
}

/* However few watches there are, they hear of it. It needs no watch, either. */
static void test_the_only_one(void **state)
{
    fixture *f = *state;

    ask_for_some(f->agent);
    f->slots[0] = consul_slot_take(f->agent);
    ask_for_some(f->agent);
    assert_int_equal(asked_for(f), 1);
}

static void test_who_has_asked_takes_none(void **state)
{
    fixture *f = *state;

    ask_for_some(f->agent);
    assert_true(consul_slot_is_crowd());
}

/* ---- processes with the agent's directory in common, and without a common network ---- */

/* Return an agent at a socket. Slots of HTTP and of HTTPS have different names, as of two networks. */
static consul_agent *agent_at_socket(consul_settings *at, char *address, bool https)
{
    consul_agent *agent;

    if (https && !consul_curl_tls_is_ours())
        skip();
    *at = (consul_settings){.address = address, .tls = https};
    agent = consul_agent_new(at, NULL);
    assert_non_null(agent);
    return agent;
}

/* Ask in another process, until this one closes the pipe that it returns. */
static int ask_elsewhere(const consul_agent *agent, pid_t *asking)
{
    consul_descriptor word = consul_no_descriptor;
    int hold[2], asked[2];
    char byte;

    assert_int_equal(pipe(hold), 0);
    assert_int_equal(pipe(asked), 0);
    if ((*asking = fork()) == 0) {
        close(hold[1]);
        consul_slot_ask_for_some(agent, &word);
        if (word.fd < 0 || write(asked[1], "", 1) != 1)
            _exit(1);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(hold[0]);
    close(asked[1]);
    assert_int_equal(read(asked[0], &byte, 1), 1);
    close(asked[0]);
    return hold[1];
}

static void test_a_word_by_a_lock(void **state)
{
    char folder[] = "/tmp/test-slot-XXXXXX", address[64];
    consul_settings here, there;
    consul_agent *watching, *asking;
    bool passed_over = false;
    int hold, status, i;
    pid_t child;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof(address), "unix://%s/http.sock", folder);
    watching = agent_at_socket(&here, address, false);
    asking = agent_at_socket(&there, address, true);
    for (i = 0; i < 100; i++)
        assert_false(consul_slot_is_asked_by_lock(watching, &passed_over));
    for (i = 0; i < 20; i++) {
        hold = ask_elsewhere(asking, &child);
        if (!consul_slot_is_asked_by_lock(watching, &passed_over))
            assert_true(consul_slot_is_asked_by_lock(watching, &passed_over));
        close(hold);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_false(consul_slot_is_asked_by_lock(watching, &passed_over));
    }
    assert_int_equal(rmdir(folder), 0);
    assert_false(consul_slot_is_asked_by_lock(watching, &passed_over));
    ask_for_some(asking); /* without a directory */
    consul_agent_free(watching);
    consul_agent_free(asking);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_so_many_and_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_agent_has_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_some_are_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_only_one, set_up, tear_down),
        cmocka_unit_test(test_a_word_by_a_lock),
        cmocka_unit_test_setup_teardown(test_who_has_asked_takes_none, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
