/* SPDX-License-Identifier: Apache-2.0 */
/* The words of servers before TLS, for consul-tls check. A server says all of them at once. */
#include "unit.h"

#include "check/starttls.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define SAID_MAX 8192

static int longest_wait; /* of all calls of poll, in milliseconds; -1 for one without an end */
static bool is_silent;   /* no call of poll finds a byte */

int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (longest_wait >= 0 && (timeout < 0 || timeout > longest_wait))
        longest_wait = timeout;
    return is_silent ? 0 : __real_poll(fds, count, timeout);
}

/* A greeting of MySQL, of version 10, up to its two bytes of capabilities. */
#define GREETING "\0125.5\0\1\0\0\0saltsalt\0"

typedef struct dialog {
    const char *protocol, *server;
    size_t len;
    const char *client; /* the words of the client, or NULL for words that do not matter */
    const char *why;    /* a part of the reason, or NULL for a server that begins TLS */
} dialog;

#define SAYS(text) text, sizeof(text) - 1

static const dialog dialogs[] = {
    {"smtp", SAYS("220-a\r\n220 b\r\n250-c\r\n250 STARTTLS\r\n220 go\r\n"),
     "EHLO localhost\r\nSTARTTLS\r\n", NULL},
    {"lmtp", SAYS("220 b\r\n250 c\r\n220 go\n"), "LHLO localhost\r\nSTARTTLS\r\n", NULL},
    {"imap", SAYS("* OK ready\r\n* CAPABILITY\r\na OK go\r\n"), "a STARTTLS\r\n", NULL},
    {"pop3", SAYS("+OK\r\n+OK go\r\n"), "STLS\r\n", NULL},
    {"ftp", SAYS("220-a\r\n220 b\r\n234 go\r\n"), "AUTH TLS\r\n", NULL},
    {"nntp", SAYS("201 b\r\n382 go\r\n"), "STARTTLS\r\n", NULL},
    {"sieve", SAYS("\"STARTTLS\"\r\nOK\r\nOK go\r\n"), "STARTTLS\r\n", NULL},
    {"postgres", SAYS("S"), NULL, NULL},
    {"mysql", SAYS("\024\0\0\0" GREETING "\0\010"), NULL, NULL},
    /* a server that does not begin TLS */
    {"smtp", SAYS("220 b\r\n250 c\r\n454 no\r\n"), "EHLO localhost\r\nSTARTTLS\r\n",
     "it answers \"454 no\""},
    {"smtp", SAYS("220 b\r\n502 no\r\n250 c\r\n220 go\r\n"), "EHLO localhost\r\n",
     "it answers \"502 no\""},
    {"smtp", SAYS("554 \033[2J\r\n"), "", "it answers \"554 ?[2J\""},
    {"smtp", SAYS("220 b\r\n250 c\r\n"), "EHLO localhost\r\nSTARTTLS\r\n", "closed the connection"},
    {"smtp", SAYS("220 b\r\n250 c\r\n22"), "EHLO localhost\r\nSTARTTLS\r\n",
     "closed the connection"},
    {"imap", SAYS("* BYE\r\n"), "", "closed the connection"},
    {"imap", SAYS("* OK\r\na NO\r\n"), "a STARTTLS\r\n", "it answers \"a NO\""},
    {"pop3", SAYS("-ERR\r\n"), "", "it answers \"-ERR\""},
    {"postgres", SAYS("N"), NULL, "its TLS is off"},
    {"postgres", SAYS("E"), NULL, "it is no PostgreSQL"},
    {"postgres", SAYS(""), NULL, "closed the connection"},
    {"mysql", SAYS("\024\0\0\0" GREETING "\377\367"), NULL, "its TLS is off"},
    {"mysql", SAYS("\023\0\0\0" GREETING "\010"), NULL,
     "lets no client in"}, /* too short for them */
    {"mysql", SAYS("\024\0\0\0\01255555555555555555555"), NULL, "lets no client in"},
    {"mysql", SAYS("\024\0\0\0\3775.5\0\1\0\0\0saltsalt\0\0\010"), NULL,
     "lets no client in"}, /* an error packet */
    {"mysql", SAYS("\0\0\0\0"), NULL, "lets no client in"},
    {"mysql", SAYS("\024\0\1\0" GREETING "\0\010"), NULL, "it says too much"}, /* 64 kB */
    {"mysql", SAYS("\024\0\0\0" GREETING), NULL, "closed the connection"},
    {"irc", SAYS("220 b\r\n250 c\r\n220 go\r\n"), "", "the protocol is unknown"},
};

/* Let a server say its words, and return true where it begins TLS. `left` is what is unread, and `client` the client's. */
static bool begin(const char *protocol, const char *server, size_t len, char why[CLI_STARTTLS_WHY],
                  ssize_t *left, char client[SAID_MAX])
{
    char rest[SAID_MAX];
    int ends[2];
    ssize_t said;
    bool ok;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(send(ends[1], server, len, MSG_NOSIGNAL), len);
    assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
    *why = '\0';
    ok = cli_starttls_begin(ends[0], protocol, why);
    *left = recv(ends[0], rest, sizeof(rest), MSG_DONTWAIT);
    said = recv(ends[1], client, SAID_MAX - 1, MSG_DONTWAIT);
    client[said < 0 ? 0 : said] = '\0';
    close(ends[0]);
    close(ends[1]);
    return ok;
}

static void test_dialogs(void **state)
{
    char why[CLI_STARTTLS_WHY], client[SAID_MAX], text[SAID_MAX];
    ssize_t left;
    size_t i;

    for (i = 0; i < sizeof(dialogs) / sizeof(dialogs[0]); i++) {
        const dialog *row = &dialogs[i];
        bool ok;

        /* The byte after a consent is one of TLS. */
        memcpy(text, row->server, row->len);
        text[row->len] = '\026';
        ok = begin(row->protocol, text, row->len + (row->why == NULL ? 1 : 0), why, &left, client);
        if (ok != (row->why == NULL))
            fail_msg("%s, row %zu: %s", row->protocol, i, ok ? "it begins TLS" : why);
        if (row->client != NULL)
            assert_string_equal(client, row->client);
        if (ok) {
            assert_int_equal(left, 1);
            assert_string_equal(why, "");
        } else {
            assert_contains(why, row->why);
        }
    }
}

/* A server has 4 kB for all of its words, and none of it overflows a line. */
static void test_too_much(void **state)
{
    char why[CLI_STARTTLS_WHY], client[SAID_MAX], text[SAID_MAX];
    ssize_t left;

    memset(text, '2', sizeof(text));
    assert_false(begin("smtp", text, sizeof(text), why, &left, client));
    assert_string_equal(why, "it says too much");
    assert_int_equal(left, sizeof(text) - 4096);
    memset(text, '\n', sizeof(text)); /* each line ends the talk, or another is read */
    memcpy(text, "220-", 4);
    assert_false(begin("smtp", text, sizeof(text), why, &left, client));
    assert_string_equal(why, "it answers \"\"");
}

/* A line is cut, and only its beginning counts. */
static void test_a_long_line(void **state)
{
    char why[CLI_STARTTLS_WHY], client[SAID_MAX], text[3000];
    ssize_t left;

    memset(text, 'x', sizeof(text));
    memcpy(text, "+OK ", 4);
    memcpy(text + sizeof(text) - 5, "\n+OK\n", 5);
    assert_true(begin("pop3", text, sizeof(text), why, &left, client));
    memcpy(text, "-ERR", 4);
    assert_false(begin("pop3", text, sizeof(text), why, &left, client));
    assert_contains(why, "it answers \"-ERRxxx");
}

/* A server that says nothing has ten seconds. */
static void test_silence(void **state)
{
    char why[CLI_STARTTLS_WHY], client[SAID_MAX];
    ssize_t left;

    longest_wait = 0;
    is_silent = true;
    assert_false(begin("postgres", "S", 1, why, &left, client));
    is_silent = false;
    assert_string_equal(why, "it does not answer in time");
    assert_between(longest_wait, 1, 10000);
}

static void test_names(void **state)
{
    assert_true(cli_starttls_knows("postgres"));
    assert_true(cli_starttls_knows("sieve"));
    assert_false(cli_starttls_knows("irc"));
    assert_false(cli_starttls_knows(""));
    assert_contains(cli_starttls_names, "sieve");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialogs),     cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_a_long_line), cmocka_unit_test(test_silence),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
