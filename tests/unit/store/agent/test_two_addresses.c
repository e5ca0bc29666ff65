/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loss of an agent with two addresses under one name, where neither takes a connection. The test
 * has a network of its own, with few ports.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/attempts.h"
#include "agent/request.h"

#define PORT 8500
#define HELD_MAX 16 /* more than there are ports */

static bool v4_first;

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/*
 * In place of the C library's, for libcurl: agent.test is 127.0.0.1 and ::1. Newer releases of libcurl ask for one
 * family at a time. The address of the other family is an error then.
 */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **result)
{
    static resolver *libcs;
    struct addrinfo *second = NULL;
    int error, second_error;

    if (libcs == NULL)
        *(void **)&libcs = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node == NULL || strcmp(node, "agent.test") != 0)
        return libcs(node, service, hints, result);
    error = libcs(v4_first ? "127.0.0.1" : "::1", service, hints, result);
    second_error = libcs(v4_first ? "::1" : "127.0.0.1", service, hints, &second);
    if (error == 0)
        (*result)->ai_next = second;
    else
        *result = second;
    return error == 0 ? 0 : second_error;
}

static bool write_word(const char *path, const char *word)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t written = fd < 0 ? -1 : write(fd, word, strlen(word));

    if (fd >= 0)
        close(fd);
    return written > 0;
}

static bool has_network;

static int set_up_network(void **state)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd;

    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return 0;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    has_network = ioctl(fd, SIOCSIFFLAGS, &lo) == 0 && access("/proc/net/if_inet6", F_OK) == 0
                  && write_word("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003");
    close(fd);
    return 0;
}

static struct sockaddr_in at(void)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listen_for_agent(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = at();

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, HELD_MAX), 0);
    return fd;
}

/* Leave no port for another connection to this address, as a local user can. */
static int hold_all_ports(int held[HELD_MAX])
{
    struct sockaddr_in address = at();
    int count;

    for (count = 0; count < HELD_MAX; count++) {
        held[count] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(held[count], (struct sockaddr *)&address, sizeof(address)) != 0) {
            close(held[count]);
            break;
        }
    }
    assert_between(count, 1, HELD_MAX - 1);
    return count;
}

static bool is_lost(void)
{
    static char address[] = "agent.test:8500";
    consul_settings settings = {.address = address,
                                .connect_timeout = 5000,
                                .request_timeout = 5000,
                                .authorize_timeout = 5000};
    consul_request request = {.path = "/v1/agent/connect/ca/roots", .deadline = CONSUL_NO_DEADLINE};
    consul_agent *agent = consul_agent_new(&settings, NULL);
    consul_answer answer;
    consul_error err = {0};

    assert_non_null(agent);
    assert_false(consul_agent_request(agent, &request, &answer, &err));
    assert_int_equal(err.reason, CONSUL_R_AGENT_UNREACHABLE);
    consul_answer_free(&answer);
    consul_agent_free(agent);
    return answer.lost;
}

static void test_nobody_listens(void **state)
{
    if (!has_network)
        skip();
    for (int i = 0; i < 2; i++) {
        v4_first = i == 0;
        assert_true(is_lost());
    }
}

static void test_others_have_all_ports(void **state)
{
    int listener, held[HELD_MAX], count, i;

    if (!has_network)
        skip();
    listener = listen_for_agent();
    count = hold_all_ports(held);
    for (i = 0; i < 2; i++) {
        v4_first = i == 0;
        assert_false(is_lost());
    }
    while (count > 0)
        close(held[--count]);
    close(listener);
}

/* Find the loss where IPv6 is off, so that no host has the address ::1. */
static void test_one_family_is_off(void **state)
{
    if (!has_network)
        skip();
    assert_true(write_word("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"));
    for (int i = 0; i < 2; i++) {
        v4_first = i == 0;
        assert_true(is_lost());
    }
}

/* Return the finding of two failures that libcurl could have seen before the agent came. */
static bool found_nobody(void)
{
    struct sockaddr_in address = at();
    consul_attempts attempts = {0};

    consul_attempts_add(&attempts, (struct sockaddr *)&address, sizeof(address));
    consul_attempts_add(&attempts, (struct sockaddr *)&address, sizeof(address));
    return consul_attempts_found_nobody(&attempts, ECONNREFUSED);
}

static void test_the_agent_is_back_or_has_a_full_queue(void **state)
{
    struct sockaddr_in address = at();
    int listener, held[HELD_MAX], i;

    if (!has_network)
        skip();
    assert_true(found_nobody());
    listener = listen_for_agent();
    assert_false(found_nobody());
    assert_int_equal(listen(listener, 0), 0);
    for (i = 0; i < 3; i++) {
        held[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(held[i], (struct sockaddr *)&address, sizeof(address));
    }
    assert_false(found_nobody());
    while (i > 0)
        close(held[--i]);
    close(listener);
    assert_true(found_nobody());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_others_have_all_ports),
        cmocka_unit_test(test_the_agent_is_back_or_has_a_full_queue),
        cmocka_unit_test(test_one_family_is_off),
    };

    return cmocka_run_group_tests(tests, set_up_network, NULL);
}
