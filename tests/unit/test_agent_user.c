/* The user at the other end of a connection, as the kernel tells it. */
#include "unit.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exchange.h"

typedef struct fixture {
    int listener, client;
    consul_connection connection;
} fixture;

static int port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    return ntohs(address.sin_port);
}

/* A listener at every address of this host, and a connection to it. */
static int set_up(void **state)
{
    static fixture f;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};

    f.listener = socket(AF_INET, SOCK_STREAM, 0);
    f.client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(f.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(f.listener, 1), 0);
    address.sin_port = htons((uint16_t)port_of(f.listener));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(f.client, (struct sockaddr *)&address, sizeof(address)), 0);
    f.connection = (consul_connection){.fd = f.client,
                                       .agent_ip = "127.0.0.1",
                                       .agent_port = port_of(f.listener),
                                       .own_ip = "127.0.0.1",
                                       .own_port = port_of(f.client)};
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    close(f->client);
    close(f->listener);
    return 0;
}

static void test_accepted_or_not(void **state)
{
    fixture *f = *state;
    consul_error err = {0};
    int accepted;

    assert_int_equal(consul_agent_user_check(&f->connection, "me", getuid(), &err), 1);
    accepted = accept(f->listener, NULL, NULL);
    assert_true(accepted >= 0);
    assert_int_equal(consul_agent_user_check(&f->connection, "me", getuid(), &err), 1);
    assert_string_equal(err.text, "");
    assert_int_equal(consul_agent_user_check(&f->connection, "you", getuid() + 1, &err), 0);
    assert_contains(err.text, "agent_user = you: a program of the user with the number");
    close(accepted);
}

/* Who listens at that port here is not the program at the other end. */
static void test_another_host(void **state)
{
    fixture *f = *state;
    consul_error err = {0};

    f->connection.agent_ip = "192.0.2.1";
    assert_int_equal(consul_agent_user_check(&f->connection, "me", getuid(), &err), 0);
    assert_contains(err.text, "the kernel does not tell");
}

static void test_a_connection_that_is_gone(void **state)
{
    fixture *f = *state;
    consul_error err = {0};

    f->connection.own_port = 1;
    assert_int_equal(consul_agent_user_check(&f->connection, "me", getuid(), &err), 0);
    assert_contains(err.text, "the kernel does not tell");
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
        cmocka_unit_test_setup_teardown(test_another_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_connection_that_is_gone, set_up, tear_down),
        cmocka_unit_test(test_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
