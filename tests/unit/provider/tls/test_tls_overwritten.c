/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applications that write under all numbers of an SSL's ex_data, without having asked for them. The provider keeps nothing
 * there. So the connection is governed as any other, and its peer is served as any other.
 */
#include "unit.h"

#include "tls.h"

#define NUMBERS 64
#define STEPS 20 /* more than a handshake has */

static int written_at; /* the step of the handshake for it, -1 for before */
static int steps;
static bool is_cleared; /* it writes NULL */

static void overwrite(SSL *ssl)
{
    static char page[16] __attribute__((aligned(16)));
    int number;

    for (number = 0; number < NUMBERS; number++) {
        void *garbage =
            number % 2 ? (void *)1 : (void *)page; /* an address without memory, or a good one */

        assert_int_equal(SSL_set_ex_data(ssl, number, is_cleared ? NULL : garbage), 1);
    }
}

static void overwrite_in_a_step(const SSL *ssl, int where, int value)
{
    if ((where & SSL_CB_LOOP) != 0 && steps++ == written_at)
        overwrite((SSL *)ssl);
}

/* Let a client talk to the service while the ex_data of both is overwritten. */
static tls_outcome talk(int version, const minted *own, tls_outcome (*by)(SSL *, SSL *))
{
    SSL_CTX *server_ctx = tls_ctx(version, &world.web);
    SSL_CTX *client_ctx = tls_ctx(version, own);
    SSL *client, *server;
    tls_outcome outcome;

    SSL_CTX_set_info_callback(server_ctx, overwrite_in_a_step);
    tls_pair(client_ctx, server_ctx, &client, &server);
    steps = 0;
    if (written_at < 0) {
        overwrite(server);
        overwrite(client);
    }
    outcome = by(client, server);
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    return outcome;
}

static void assert_nothing_changes(int at)
{
    tls_outcome (*const ways[])(SSL *, SSL *) = {tls_talk, tls_talk_at_once};
    size_t v, i;

    written_at = at;
    for (v = 0; v < 2; v++) {
        for (i = 0; i < 4; i++) {
            tls_outcome outcome;

            is_cleared = i / 2 == 1;
            outcome = talk(tls_versions[v], &world.friend, ways[i % 2]);
            assert_talked("a friend", &outcome);
            outcome = talk(tls_versions[v], &world.stranger, ways[i % 2]);
            assert_refused("a foreign client", &outcome);
            outcome = talk(tls_versions[v], NULL, ways[i % 2]);
            assert_refused("a client without a certificate", &outcome);
        }
    }
}

static void test_before_the_handshake(void **state)
{
    assert_nothing_changes(-1);
}

static void test_in_the_handshake(void **state)
{
    int at;

    for (at = 0; at < STEPS; at++)
        assert_nothing_changes(at);
}

/* Last, as the numbers stay. */
static void test_a_program_with_many_numbers(void **state)
{
    int i;

    for (i = 0; i < NUMBERS; i++)
        assert_true(CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, NULL) >= 0);
    assert_nothing_changes(-1);
    assert_nothing_changes(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_before_the_handshake, tls_reset),
        cmocka_unit_test_setup(test_in_the_handshake, tls_reset),
        cmocka_unit_test_setup(test_a_program_with_many_numbers, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
