/* SPDX-License-Identifier: Apache-2.0 */
/* The user at the other end of a connection, as the kernel tells it. */
#include "unit.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent_user.h"

typedef struct fixture {
    bool usable;
    int listener, client;
    consul_connection connection;
} fixture;

static int lowest_connected; /* the lowest descriptor with a connection to the kernel */

typedef int connector(int, __CONST_SOCKADDR_ARG, socklen_t);

/* In place of the C library's: note the descriptor. */
__attribute__((visibility("default"))) int connect(int fd, __CONST_SOCKADDR_ARG address,
                                                   socklen_t len)
{
    static connector *libcs;

    if (libcs == NULL)
        *(void **)&libcs = dlsym(RTLD_NEXT, "connect");
    if (address.__sockaddr__->sa_family == AF_NETLINK && fd < lowest_connected)
        lowest_connected = fd;
    return libcs(fd, address, len);
}

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    return ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                              : ((struct sockaddr_in6 *)&address)->sin6_port);
}

static void connect_to(int fd, const char *ip, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 address6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

    if (inet_pton(AF_INET, ip, &address.sin_addr) == 1) {
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    } else {
        assert_int_equal(inet_pton(AF_INET6, ip, &address6.sin6_addr), 1);
        assert_int_equal(connect(fd, (struct sockaddr *)&address6, sizeof(address6)), 0);
    }
}

/* Return false on a machine without IPv6. */
static bool has_ipv6(void)
{
    FILE *file = fopen("/proc/net/if_inet6", "r");
    bool has = file != NULL && fgetc(file) != EOF;

    if (file != NULL)
        fclose(file);
    return has;
}

/* Listen at every address of this host, and make a connection to the listener. */
static void start(fixture *f, int listener_family, int client_family, const char *ip)
{
    struct sockaddr_storage any = {.ss_family = (sa_family_t)listener_family};

    f->usable = listener_family == AF_INET || has_ipv6();
    if (!f->usable)
        return;
    f->listener = socket(listener_family, SOCK_STREAM, 0);
    f->client = socket(client_family, SOCK_STREAM, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(listen(f->listener, 1), 0);
    connect_to(f->client, ip, port_of(f->listener));
    f->connection = (consul_connection){.fd = f->client,
                                        .agent_ip = ip,
                                        .agent_port = port_of(f->listener),
                                        .own_ip = ip,
                                        .own_port = port_of(f->client)};
}

static int set_up(void **state)
{
    static fixture f;

    start(&f, AF_INET, AF_INET, "127.0.0.1");
    *state = &f;
    return 0;
}

static int set_up_both(void **state)
{
    static fixture f;

    start(&f, AF_INET6, AF_INET, "127.0.0.1");
    *state = &f;
    return 0;
}

static int set_up_6(void **state)
{
    static fixture f;

    start(&f, AF_INET6, AF_INET6, "::1");
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    if (!f->usable)
        return 0;
    close(f->client);
    close(f->listener);
    return 0;
}

static void test_accepted_or_not(void **state)
{
    fixture *f = *state;
    consul_error err = {0};
    int accepted;

    if (!f->usable)
        skip();
    assert_int_equal(consul_agent_user_check(&f->connection, "me", getuid(), &err), 1);
    accepted = accept(f->listener, NULL, NULL);
    assert_true(accepted >= 0);
    assert_int_equal(consul_agent_user_check(&f->connection, "me", getuid(), &err), 1);
    assert_string_equal(err.text, "");
    assert_int_equal(consul_agent_user_check(&f->connection, "you", getuid() + 1, &err), 0);
    assert_contains(err.text, "agent_user = you: a program of the user with the number");
    close(accepted);
}

/* The listener at that port of this host is not the program at the other end. */
static void test_another_host(void **state)
{
    fixture *f = *state;
    consul_error err = {0};

    f->connection.agent_ip = "192.0.2.1";
    assert_int_equal(consul_agent_user_check(&f->connection, "me", getuid(), &err), 0);
    assert_contains(err.text, "the kernel does not know");
}

static void test_a_connection_that_is_gone(void **state)
{
    fixture *f = *state;
    consul_error err = {0};

    f->connection.own_port = 1;
    assert_int_equal(consul_agent_user_check(&f->connection, "me", getuid(), &err), 0);
    assert_contains(err.text, "the kernel does not know");
}

/* A daemon has closed its standard files, and goes on to write to their numbers. */
static void test_no_text_of_the_host_reaches_the_kernel(void **state)
{
    fixture *f = *state;
    pid_t child = fork();
    consul_error err = {0};
    int status, known;

    if (child == 0) {
        lowest_connected = INT_MAX;
        close_range(STDIN_FILENO, STDERR_FILENO, 0);
        known = consul_agent_user_check(&f->connection, "me", getuid(), &err);
        _exit(known == 1 && lowest_connected > STDERR_FILENO && lowest_connected != INT_MAX ? 0
                                                                                            : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_values(void **state)
{
    static const char *const wrong[] = {"",   "-1",          "4294967295", "99999999999",
                                        "1 ", "no-such-user"};
    consul_error err = {0};
    uid_t uid;
    size_t i;

    assert_int_equal(consul_agent_user_parse("0", &uid, &err), 1);
    assert_int_equal(uid, 0);
    assert_int_equal(consul_agent_user_parse("root", &uid, &err), 1);
    assert_int_equal(uid, 0);
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        err = (consul_error){0};
        assert_int_equal(consul_agent_user_parse(wrong[i], &uid, &err), 0);
        assert_contains(err.text, "agent_user = ");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_accepted_or_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_accepted_or_not, set_up_both, tear_down),
        cmocka_unit_test_setup_teardown(test_accepted_or_not, set_up_6, tear_down),
        cmocka_unit_test_setup_teardown(test_another_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_connection_that_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_text_of_the_host_reaches_the_kernel, set_up,
                                        tear_down),
        cmocka_unit_test(test_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
