/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that asks for more numbers of ex_data than any known one. It finds its own data under them and nothing of the
 * provider's. Its connections are governed as those of others.
 */
#include "unit.h"

#include "tls.h"

#define NUMBERS 60

enum writes { NEVER, BEFORE, IN_A_STEP };

static int numbers[NUMBERS]; /* asked for, in the second test */
static char values[NUMBERS];
static enum writes writes;
static int written_at, steps; /* the step of the handshake */
static int foreign;           /* values that are not the program's own */
static SSL *early_client, *early_server;

/* ---- the program's data ---- */

static void look(const SSL *ssl)
{
    int i;

    for (i = 0; i < NUMBERS; i++) {
        const void *value = SSL_get_ex_data(ssl, numbers[i]);

        foreign += value != NULL && value != &values[i];
    }
}

static void write_all(SSL *ssl)
{
    int i;

    for (i = 0; i < NUMBERS; i++)
        assert_int_equal(SSL_set_ex_data(ssl, numbers[i], &values[i]), 1);
}

static void on_info(const SSL *ssl, int where, int value)
{
    look(ssl);
    if (writes == IN_A_STEP && (where & SSL_CB_LOOP) != 0 && steps++ == written_at)
        write_all((SSL *)ssl);
}

static void on_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    foreign += ptr != NULL && ptr != &values[argl];
}

static void ask_for_all(void)
{
    int i;

    for (i = 0; i < NUMBERS; i++) {
        numbers[i] = SSL_get_ex_new_index(i, NULL, NULL, NULL, on_free);
        assert_true(numbers[i] > 0);
    }
}

/* Put a copy in the place of a server's SSL that has begun a handshake, and so has an endpoint. */
static void copy_server(SSL *client, SSL **server)
{
    BIO *client_bio, *server_bio;
    SSL *first = *server;

    SSL_do_handshake(client);
    SSL_do_handshake(first);
    assert_int_equal(SSL_clear(client), 1);
    assert_int_equal(SSL_clear(first), 1);
    *server = SSL_dup(first);
    assert_non_null(*server);
    assert_ptr_not_equal(*server, first);
    SSL_free(first);
    assert_true(BIO_new_bio_pair(&client_bio, 1 << 16, &server_bio, 1 << 16));
    SSL_set_bio(client, client_bio, client_bio);
    SSL_set_bio(*server, server_bio, server_bio);
}

/* Let a client talk to a server with these certificates, or to a copy of its SSL. */
static tls_outcome talk(int version, const minted *of_client, const minted *of_server, bool copies)
{
    SSL_CTX *server_ctx = tls_ctx(version, of_server), *client_ctx = tls_ctx(version, of_client);
    SSL *client, *server;
    tls_outcome outcome;

    SSL_CTX_set_info_callback(server_ctx, on_info);
    SSL_CTX_set_info_callback(client_ctx, on_info);
    tls_pair(client_ctx, server_ctx, &client, &server);
    steps = 0;
    if (writes == BEFORE) {
        write_all(client);
        write_all(server);
    }
    if (copies)
        copy_server(client, &server);
    outcome = tls_talk(client, server);
    look(client);
    look(server);
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    return outcome;
}

/* Check a friend, a stranger, a denied friend and an ordinary server. */
static void check_all(bool copies)
{
    tls_outcome outcome;
    size_t v;

    fake_agent_set_leaf(&world.agent, &world.web);
    for (v = 0; v < 2; v++) {
        outcome = talk(tls_versions[v], &world.friend, &world.web, copies);
        assert_talked("a friend", &outcome);
        outcome = talk(tls_versions[v], &world.stranger, &world.web, copies);
        assert_refused("a stranger", &outcome);
        world.agent.allow = false;
        outcome = talk(tls_versions[v], &world.friend, &world.web, copies);
        assert_refused("a denied one", &outcome);
        world.agent.allow = true;
        outcome = talk(tls_versions[v], NULL, &world.site, copies);
        assert_talked("a site", &outcome);
    }
    assert_int_equal(foreign, 0);
}

/* ---- the tests, in this order ---- */

/* Begin a handshake before the program asks. Its client verifies the server. */
static void test_before_the_numbers(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_2_VERSION, &world.web);
    SSL_CTX *client_ctx = tls_ctx(TLS1_2_VERSION, &world.friend);

    tls_pair(client_ctx, server_ctx, &early_client, &early_server);
    SSL_do_handshake(early_client);
    SSL_do_handshake(early_server);
    SSL_do_handshake(early_client);
    assert_non_null(SSL_get0_peer_certificate(early_client));
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
}

static void test_read(void **state)
{
    ask_for_all();
    writes = NEVER;
    check_all(false);
    check_all(true);
}

static void test_written_before_the_handshake(void **state)
{
    writes = BEFORE;
    check_all(false);
    check_all(true);
}

static void test_written_in_the_handshake(void **state)
{
    writes = IN_A_STEP;
    for (written_at = 0; written_at < 12; written_at += 2)
        check_all(false);
}

/* The endpoint from before is found where it lies: the server stays verified. */
static void test_goes_on(void **state)
{
    tls_outcome outcome = tls_talk(early_client, early_server);

    assert_talked("a handshake from before", &outcome);
    tls_close(early_client, early_server);
}

/* Two numbers are ours, beyond those of the program. It is refused a connection where it writes there. */
static void test_overwritten(void **state)
{
    int refused = 0, last = numbers[NUMBERS - 1], i;

    fake_agent_set_leaf(&world.agent, &world.web);
    for (i = last + 1; i < last + 6; i++) {
        SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.web);
        SSL_CTX *client_ctx = tls_ctx(TLS1_3_VERSION, &world.friend);
        SSL *client, *server;
        tls_outcome outcome;

        tls_pair(client_ctx, server_ctx, &client, &server);
        assert_int_equal(SSL_set_ex_data(server, i, values), 1);
        outcome = tls_talk(client, server);
        refused += !outcome.server_got && !outcome.client_got;
        tls_close(client, server);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
    }
    assert_int_equal(refused, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_before_the_numbers, tls_reset),
        cmocka_unit_test_setup(test_read, tls_reset),
        cmocka_unit_test_setup(test_written_before_the_handshake, tls_reset),
        cmocka_unit_test_setup(test_written_in_the_handshake, tls_reset),
        cmocka_unit_test_setup(test_goes_on, tls_reset),
        cmocka_unit_test_setup(test_overwritten, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
