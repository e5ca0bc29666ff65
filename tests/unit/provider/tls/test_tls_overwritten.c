/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applications with a pointer of their own at an SSL, under a number of ours. The module does not follow
 * the pointer, and serves no peer on that connection.
 */
#include "unit.h"

#include "tls.h"

#define FIRST 38 /* two lower than ours */
#define LAST 43
#define STEPS 20 /* more than a handshake has */

static int number;     /* the number that is written now */
static int written_at; /* the step of the handshake for it, -1 for before */
static int steps;
static void *before; /* the value that was overwritten */
static bool is_written;

static void overwrite(SSL *ssl)
{
    static char page[16] __attribute__((aligned(16)));

    is_written = true;
    before = SSL_get_ex_data(ssl, number);
    /* An address without memory, and a good one. */
    assert_int_equal(SSL_set_ex_data(ssl, number, number % 2 ? (void *)1 : (void *)page), 1);
}

static void overwrite_in_a_step(const SSL *ssl, int where, int value)
{
    if ((where & SSL_CB_LOOP) != 0 && steps++ == written_at)
        overwrite((SSL *)ssl);
}

/* Let the friend talk to the service, and return true where it was served. */
static bool talk(int version, tls_outcome (*by)(SSL *, SSL *))
{
    SSL_CTX *server_ctx = tls_ctx(version, &world.web);
    SSL_CTX *client_ctx = tls_ctx(version, &world.friend);
    SSL *client, *server;
    tls_outcome outcome;
    bool served;

    SSL_CTX_set_info_callback(server_ctx, overwrite_in_a_step);
    tls_pair(client_ctx, server_ctx, &client, &server);
    steps = 0;
    before = NULL;
    is_written = false;
    if (written_at < 0)
        overwrite(server);
    outcome = by(client, server);
    served = outcome.server_got && outcome.client_got;
    if (!served)
        assert_refused("overwritten", &outcome);
    if (before != NULL) /* or the endpoint would be leaked */
        SSL_set_ex_data(server, number, before);
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    return served;
}

/* Check that two numbers are ours, unless the handshake has no such step. All others are the application's matter. */
static void assert_two_are_refused(int at)
{
    tls_outcome (*const ways[])(SSL *, SSL *) = {tls_talk, tls_talk_at_once};
    size_t v, i;

    fake_agent_set_leaf(&world.agent, &world.web);
    written_at = at;
    for (v = 0; v < 2; v++) {
        for (i = 0; i < 2; i++) {
            int refused = 0;

            for (number = FIRST; number <= LAST; number++)
                refused += !talk(tls_versions[v], ways[i]);
            assert_int_equal(refused, is_written ? 2 : 0);
        }
    }
}

static void test_before_the_handshake(void **state)
{
    assert_two_are_refused(-1);
}

static void test_in_the_handshake(void **state)
{
    int at;

    for (at = 0; at < STEPS; at++)
        assert_two_are_refused(at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_before_the_handshake, tls_reset),
        cmocka_unit_test_setup(test_in_the_handshake, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
