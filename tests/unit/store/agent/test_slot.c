/* SPDX-License-Identifier: Apache-2.0 */
/* The slots of processes that watch: as many as there are, and given up when they are asked for. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/slot.h"
#include "base/clock.h"

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
    consul_slot_ask_for_some(f->agent);
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
    consul_slot_ask_for_some(f->agent);
    assert_int_equal(asked_for(f), ASKED);
    assert_int_equal(asked_for(f), 0); /* each has heard of it once */
}

/* However few watches there are, they hear of it. It needs no watch, either. */
static void test_the_only_one(void **state)
{
    fixture *f = *state;

    consul_slot_ask_for_some(f->agent);
    f->slots[0] = consul_slot_take(f->agent);
    consul_slot_ask_for_some(f->agent);
    assert_int_equal(asked_for(f), 1);
}

static void test_who_has_asked_takes_none(void **state)
{
    fixture *f = *state;

    consul_slot_ask_for_some(f->agent);
    assert_true(consul_slot_is_crowd());
}

/* ---- processes with the agent's unix socket in common, and without a common network ---- */

static char socket_path[64], socket_address[80];

static int make_socket(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(name.sun_path, socket_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    return fd;
}

/* Return an agent at the socket. Slots of HTTP and of HTTPS have different names, as of two networks. */
static consul_agent *agent_at_socket(consul_settings *at, bool https)
{
    consul_agent *agent;

    *at = (consul_settings){.address = socket_address, .tls = https};
    agent = consul_agent_new(at, NULL);
    assert_non_null(agent);
    return agent;
}

static void test_a_word_by_the_socket(void **state)
{
    consul_settings here, there;
    consul_slot_socket seen = {0};
    consul_agent *watching, *asking;
    int64_t until = consul_now_ms() + 60000;
    int listener, again, i;
    bool heard = false;

    (void)state;
    snprintf(socket_path, sizeof(socket_path), "/tmp/test-slot-%d.sock", (int)getpid());
    snprintf(socket_address, sizeof(socket_address), "unix://%s", socket_path);
    listener = make_socket();
    watching = agent_at_socket(&here, false);
    asking = agent_at_socket(&there, true);
    for (i = 0; i < 100; i++)
        assert_false(consul_slot_is_asked_by_socket(watching, &seen));
    while (!heard && consul_now_ms() < until) {
        consul_slot_ask_for_some(asking);
        heard = consul_slot_is_asked_by_socket(watching, &seen);
    }
    assert_true(heard);
    for (i = 0; i < 100; i++)
        assert_false(consul_slot_is_asked_by_socket(watching, &seen));
    /* The new socket of a restarted agent is no word. */
    for (i = 0; i < 100; i++) {
        assert_int_equal(unlink(socket_path), 0);
        again = make_socket();
        assert_false(consul_slot_is_asked_by_socket(watching, &seen));
        close(listener);
        listener = again;
    }
    close(listener);
    assert_int_equal(unlink(socket_path), 0);
    assert_false(consul_slot_is_asked_by_socket(watching, &seen));
    consul_slot_ask_for_some(asking); /* without a socket */
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
        cmocka_unit_test(test_a_word_by_the_socket),
        cmocka_unit_test_setup_teardown(test_who_has_asked_takes_none, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
