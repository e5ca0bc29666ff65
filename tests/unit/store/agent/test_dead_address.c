/* SPDX-License-Identifier: Apache-2.0 */
/* An agent with several addresses under its name. All but the last answer no packet. */
#include "unit.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/attempts.h"
#include "agent_fixture.h"

#define DEAD_MAX 3 /* 127.0.0.2 and so on */

static int dead_count;
static bool is_alone; /* the first dead address is the only one */

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* In place of the C library's, for libcurl: agent.test has dead addresses, and then 127.0.0.1. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **result)
{
    static resolver *libcs;
    struct addrinfo **next = result;
    char dead[32];
    int i, error = 0;

    if (libcs == NULL)
        *(void **)&libcs = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node == NULL || strcmp(node, "agent.test") != 0)
        return libcs(node, service, hints, result);
    for (i = 0; i <= dead_count && i < (is_alone ? 1 : DEAD_MAX + 1) && error == 0;
         i++, next = &(*next)->ai_next) {
        snprintf(dead, sizeof(dead), "127.0.0.%d", i < dead_count ? i + 2 : 1);
        error = libcs(dead, service, hints, next);
    }
    return error;
}

static int inheritable;       /* sockets that an executed program would inherit */
static int sockets_left = -1; /* further ones cannot be opened; -1 for any number */

typedef int opener(int, int, int);

/* In place of the C library's: a process comes to its limit of open files. */
__attribute__((visibility("default"))) int socket(int family, int type, int protocol)
{
    static opener *libcs;

    if (libcs == NULL)
        *(void **)&libcs = dlsym(RTLD_NEXT, "socket");
    if (sockets_left == 0) {
        errno = EMFILE;
        return -1;
    }
    inheritable += (type & SOCK_CLOEXEC) == 0 && (type & SOCK_STREAM) != 0;
    if (sockets_left > 0 && (type & SOCK_STREAM) != 0)
        sockets_left--;
    return libcs(family, type, protocol);
}

static int lowest_connected; /* the lowest descriptor with a TCP connection, or with an attempt */

typedef int connector(int, __CONST_SOCKADDR_ARG, socklen_t);

/* In place of the C library's: note the descriptor. */
__attribute__((visibility("default"))) int connect(int fd, __CONST_SOCKADDR_ARG address,
                                                   socklen_t len)
{
    static connector *libcs;

    if (libcs == NULL)
        *(void **)&libcs = dlsym(RTLD_NEXT, "connect");
    if (address.__sockaddr__->sa_family == AF_INET && fd < lowest_connected)
        lowest_connected = fd;
    return libcs(fd, address, len);
}

static const struct sockaddr *address_of(const char *host, int port)
{
    static struct sockaddr_in at;

    at = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &at.sin_addr);
    return (const struct sockaddr *)&at;
}

/* Listen at a port, and drop all packets to it before TCP sees them. */
static int make_black_hole(const char *host, int port)
{
    struct sock_filter drop = {.code = BPF_RET | BPF_K};
    struct sock_fprog program = {.len = 1, .filter = &drop};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, address_of(host, port), sizeof(struct sockaddr_in)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static int ask(agent_fixture *f, consul_error *err)
{
    consul_request request = {.path = PATH, .deadline = CONSUL_NO_DEADLINE};
    consul_answer answer;
    int ok = agent_ask(f, &request, &answer, err);

    consul_answer_free(&answer);
    return ok;
}

/* A dead address takes half of connect_timeout from the first request, and no time from others. */
static void test_all_but_the_last(void **state)
{
    agent_fixture *f = *state;
    int holes[DEAD_MAX], port = http_server_port(f->server), i;
    char host[32];

    for (i = 0; i < DEAD_MAX; i++) {
        snprintf(host, sizeof(host), "127.0.0.%d", i + 2);
        holes[i] = make_black_hole(host, port);
    }
    snprintf(f->address, sizeof(f->address), "agent.test:%d", port);
    f->settings.connect_timeout = 1000;
    for (dead_count = 0; dead_count <= DEAD_MAX; dead_count++) {
        for (i = 0; i < 2; i++) {
            consul_error err = {0};

            if (!ask(f, &err))
                fail_msg("%d dead, request %d: %s", dead_count, i, err.text);
        }
    }
    for (i = 0; i < DEAD_MAX; i++)
        close(holes[i]);
}

/* An address that was passed over is tried again where the name has no other one any more. */
static void test_the_dead_one_alone(void **state)
{
    agent_fixture *f = *state;
    int hole, taken, port = http_server_port(f->server);
    consul_error err = {0};

    hole = make_black_hole("127.0.0.2", port);
    snprintf(f->address, sizeof(f->address), "agent.test:%d", port);
    f->settings.connect_timeout = 1000;
    dead_count = 1;
    assert_int_equal(ask(f, &err), 1);
    assert_true(
        consul_attempts_passes_over(address_of("127.0.0.2", port), sizeof(struct sockaddr_in)));
    assert_false(
        consul_attempts_passes_over(address_of("127.0.0.1", port), sizeof(struct sockaddr_in)));
    assert_int_equal(setsockopt(hole, SOL_SOCKET, SO_DETACH_FILTER, &taken, sizeof(taken)), 0);
    is_alone = true;
    f->settings.request_timeout = 1000; /* no answer comes */
    assert_int_equal(ask(f, &err), 0);
    taken = accept4(hole, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(taken >= 0);
    assert_false(
        consul_attempts_passes_over(address_of("127.0.0.2", port), sizeof(struct sockaddr_in)));
    close(taken);
    close(hole);
    is_alone = false;
}

static void test_no_program_inherits_a_socket(void **state)
{
    agent_fixture *f = *state;
    consul_error err = {0};

    inheritable = 0;
    assert_int_equal(ask(f, &err), 1);
    assert_int_equal(inheritable, 0);
}

/* Make a request without standard files, in a child. Return true where it had no connection by one of their numbers. */
static bool ask_without_files(agent_fixture *f, int outcome)
{
    pid_t child = fork();
    int status, ok;

    if (child == 0) {
        consul_error err = {0};

        lowest_connected = INT_MAX;
        close_range(STDIN_FILENO, STDERR_FILENO, 0);
        ok = ask(f, &err);
        _exit(ok == outcome && lowest_connected > STDERR_FILENO && lowest_connected != INT_MAX ? 0
                                                                                               : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status == 0;
}

/* A daemon has closed its standard files, and goes on to write to their numbers. */
static void test_no_text_of_the_host_reaches_the_agent(void **state)
{
    assert_true(ask_without_files(*state, 1));
}

/* Likewise where the addresses of an agent that does not listen are tried one by one. */
static void test_no_text_of_the_host_reaches_an_address_that_is_tried(void **state)
{
    agent_fixture *f = *state;

    dead_count = 2;
    snprintf(f->address, sizeof(f->address), "agent.test:1"); /* no program listens there */
    assert_true(ask_without_files(f, 0));
}

/* The agent may be at an address for which this process has no socket. */
static void test_a_shortage_after_a_refusal(void **state)
{
    agent_fixture *f = *state;
    const consul_request request = {.path = PATH, .deadline = CONSUL_NO_DEADLINE};
    consul_answer answer;
    consul_error err = {0};

    snprintf(f->address, sizeof(f->address), "agent.test:%d", http_server_port(f->server));
    dead_count = 1; /* no program listens there */
    sockets_left = 1;
    assert_int_equal(agent_ask(f, &request, &answer, &err), 0);
    sockets_left = -1;
    assert_false(answer.lost);
    assert_error(&err, CONSUL_R_AGENT_UNREACHABLE, "this process could not open a socket");
    is_alone = true;
    assert_int_equal(agent_ask(f, &request, &answer, NULL), 0);
    is_alone = false;
    assert_true(answer.lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_but_the_last, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_the_dead_one_alone, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_no_program_inherits_a_socket, agent_set_up,
                                        agent_tear_down),
        cmocka_unit_test_setup_teardown(test_no_text_of_the_host_reaches_the_agent, agent_set_up,
                                        agent_tear_down),
        cmocka_unit_test_setup_teardown(test_no_text_of_the_host_reaches_an_address_that_is_tried,
                                        agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_a_shortage_after_a_refusal, agent_set_up,
                                        agent_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
