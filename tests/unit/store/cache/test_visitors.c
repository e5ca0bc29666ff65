/* SPDX-License-Identifier: Apache-2.0 */
/* Visitors: a guess has to be earned, at each address by itself. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache/visitors.h"

#define NO_ADDRESS (-1)

/* Connect from an address of this host. Return the descriptor of the server's end. */
static int connection_from(const char *address)
{
    struct sockaddr_in of_server = {.sin_family = AF_INET}, of_client = {.sin_family = AF_INET};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(of_server);

    inet_pton(AF_INET, "127.0.0.1", &of_server.sin_addr);
    inet_pton(AF_INET, address, &of_client.sin_addr);
    assert_int_equal(bind(listener, (struct sockaddr *)&of_server, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&of_server, &len), 0);
    assert_int_equal(bind(client, (struct sockaddr *)&of_client, sizeof(of_client)), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&of_server, len), 0);
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    close(listener);
    close(client); /* the peer's name stays */
    return fd;
}

static void assert_guess(consul_visitors *visitors, int fd, const char *expected)
{
    char *guess = consul_visitors_guess(visitors, fd);

    if (expected == NULL)
        assert_null(guess);
    else
        assert_string_equal(guess, expected);
    free(guess);
}

static void test_a_guess_is_earned(void **state)
{
    consul_visitors *visitors = consul_visitors_new();
    int round;

    assert_guess(visitors, NO_ADDRESS, NULL);
    consul_visitors_note(visitors, NO_ADDRESS, "friend");
    assert_guess(visitors, NO_ADDRESS, NULL);
    for (round = 0; round < 2; round++) {
        consul_visitors_note(visitors, NO_ADDRESS, "friend");
        assert_guess(visitors, NO_ADDRESS, "friend");
        assert_guess(visitors, NO_ADDRESS, NULL); /* a stranger has had it */
    }
    consul_visitors_note(visitors, NO_ADDRESS, "friend");
    consul_visitors_note(visitors, NO_ADDRESS, "other");
    assert_guess(visitors, NO_ADDRESS, NULL);
    consul_visitors_note(visitors, NO_ADDRESS, "other");
    assert_guess(visitors, NO_ADDRESS, "other");
    consul_visitors_free(visitors);
}

static void test_addresses(void **state)
{
    consul_visitors *visitors = consul_visitors_new();
    int here = connection_from("127.0.0.2"), again = connection_from("127.0.0.2");
    int there = connection_from("127.0.0.3");

    consul_visitors_note(visitors, here, "friend");
    consul_visitors_note(visitors, there, "friend");
    consul_visitors_note(visitors, again, "friend");
    assert_guess(visitors, there, NULL);
    assert_guess(visitors, NO_ADDRESS, NULL);
    assert_guess(visitors, here, "friend");
    errno = EXDEV;
    consul_visitors_note(visitors, there, "other");
    consul_visitors_note(visitors, NO_ADDRESS, "none");
    assert_int_equal(errno, EXDEV); /* the host's */
    assert_guess(visitors, there, NULL);
    consul_visitors_free(visitors);
    close(here);
    close(again);
    close(there);
}

/* The visitor that was away for the longest time gives its place. */
static void test_number(void **state)
{
    consul_visitors *visitors = consul_visitors_new();
    int fds[CONSUL_VISITORS_KEPT + 1], i;
    char address[32];

    for (i = 0; i <= CONSUL_VISITORS_KEPT; i++) {
        snprintf(address, sizeof(address), "127.0.1.%d", i + 1);
        fds[i] = connection_from(address);
    }
    for (i = 0; i < CONSUL_VISITORS_KEPT; i++) {
        consul_visitors_note(visitors, fds[i], "friend");
        consul_visitors_note(visitors, fds[i], "friend");
    }
    consul_visitors_note(visitors, fds[0], "friend");
    consul_visitors_note(visitors, fds[CONSUL_VISITORS_KEPT], "friend");
    assert_guess(visitors, fds[1], NULL);
    assert_guess(visitors, fds[CONSUL_VISITORS_KEPT], NULL);
    for (i = 0; i < CONSUL_VISITORS_KEPT; i++) {
        if (i != 1)
            assert_guess(visitors, fds[i], "friend");
    }
    consul_visitors_free(visitors);
    for (i = 0; i <= CONSUL_VISITORS_KEPT; i++)
        close(fds[i]);
}

/* Without memory no visitor is known. */
static void test_none(void **state)
{
    consul_visitors_note(NULL, NO_ADDRESS, "friend");
    assert_guess(NULL, NO_ADDRESS, NULL);
    consul_visitors_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_guess_is_earned),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_number),
        cmocka_unit_test(test_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
