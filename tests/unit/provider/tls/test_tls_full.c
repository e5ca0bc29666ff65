/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Full handshakes only, for friends too. An application may have other ways to a handshake: keys agreed beforehand,
 * earlier sessions, renegotiation. A governed endpoint passes them over, and its peer shows a certificate. The peer is
 * not governed here.
 */
#include "unit.h"

#include "tls.h"

static int calls; /* of the application's callbacks on the side under test */
static bool counts;

static const unsigned char secret[32] = "a secret of both applications";

static void count(void)
{
    calls += counts;
}

/* ---- ways of a server ---- */

static unsigned give_key_to_server(SSL *ssl, const char *identity, unsigned char *key,
                                   unsigned size)
{
    count();
    memcpy(key, secret, sizeof(secret));
    return sizeof(secret);
}

/* Make a session for a key, as TLS 1.3 has it. */
static SSL_SESSION *session_of_key(SSL *ssl)
{
    SSL_SESSION *session = SSL_SESSION_new();
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, (const unsigned char *)"\x13\x01");

    assert_true(SSL_SESSION_set1_master_key(session, secret, sizeof(secret)));
    assert_true(SSL_SESSION_set_cipher(session, cipher));
    assert_true(SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION));
    return session;
}

static int find_session(SSL *ssl, const unsigned char *identity, size_t len, SSL_SESSION **session)
{
    count();
    *session = session_of_key(ssl);
    return 1;
}

static unsigned give_key_to_client(SSL *ssl, const char *hint, char *identity, unsigned size,
                                   unsigned char *key, unsigned key_size)
{
    count();
    strcpy(identity, "friend");
    memcpy(key, secret, sizeof(secret));
    return sizeof(secret);
}

static int use_session(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len,
                       SSL_SESSION **session)
{
    count();
    *id = (const unsigned char *)"friend";
    *len = 6;
    *session = session_of_key(ssl);
    return 1;
}

static void server_key(SSL *ssl)
{
    SSL_set_psk_server_callback(ssl, give_key_to_server);
}

static void server_session(SSL *ssl)
{
    SSL_set_psk_find_session_callback(ssl, find_session);
}

static void client_key(SSL *ssl)
{
    SSL_set_psk_client_callback(ssl, give_key_to_client);
}

static void client_session(SSL *ssl)
{
    SSL_set_psk_use_session_callback(ssl, use_session);
}

static const struct {
    const char *name;
    void (*on_client)(SSL *ssl), (*on_server)(SSL *ssl);
} keys[] = {
    {"a key and a key", client_key, server_key},
    {"a session and a session", client_session, server_session},
};

/* Connect two sides by a key. The side that is not elsewhere is governed by its certificate. */
static tls_outcome connect_by_key(size_t row, const minted *client_cert, const minted *server_cert,
                                  bool client_is_elsewhere)
{
    OSSL_LIB_CTX *elsewhere = OSSL_LIB_CTX_new();
    SSL_CTX *client_ctx = client_is_elsewhere ? tls_ctx_in(elsewhere, TLS1_3_VERSION, client_cert)
                                              : tls_ctx(TLS1_3_VERSION, client_cert);
    SSL_CTX *server_ctx = client_is_elsewhere ? tls_ctx(TLS1_3_VERSION, server_cert)
                                              : tls_ctx_in(elsewhere, TLS1_3_VERSION, server_cert);
    SSL *client, *server;
    tls_outcome outcome;

    assert_true(SSL_CTX_set_ciphersuites(client_ctx, "TLS_AES_128_GCM_SHA256"));
    assert_true(SSL_CTX_set_ciphersuites(server_ctx, "TLS_AES_128_GCM_SHA256"));
    tls_pair_with(client_ctx, server_ctx, elsewhere, client_is_elsewhere, &client, &server);
    keys[row].on_client(client);
    keys[row].on_server(server);
    calls = 0;
    counts = true;
    outcome = tls_talk(client, server);
    counts = false;
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    OSSL_LIB_CTX_free(elsewhere);
    return outcome;
}

static void test_keys(void **state)
{
    tls_outcome outcome;
    size_t i, side;

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        for (side = 0; side < 2; side++) {
            outcome = connect_by_key(i, NULL, &world.site, side == 1);
            assert_talked(keys[i].name, &outcome);
            assert_true(outcome.reused); /* ordinary sides have another way */
            assert_int_equal(calls, 2);
            outcome = connect_by_key(i, &world.friend, &world.web, side == 1);
            assert_talked(keys[i].name, &outcome);
            assert_false(outcome.reused);
            assert_true(calls <= 1); /* the peer's */
        }
    }
}

/* ---- a secret of the application's own (RFC 4851) ---- */

static int give_secret(SSL *ssl, void *to, int *len, STACK_OF(SSL_CIPHER) *ciphers,
                       const SSL_CIPHER **cipher, void *arg)
{
    count();
    return 0;
}

static void test_a_secret(void **state)
{
    const minted *certs[] = {&world.site, &world.web};
    size_t i;

    for (i = 0; i < 2; i++) {
        OSSL_LIB_CTX *elsewhere = OSSL_LIB_CTX_new();
        SSL_CTX *client_ctx = tls_ctx_in(elsewhere, TLS1_2_VERSION, &world.friend);
        SSL_CTX *server_ctx = tls_ctx(TLS1_2_VERSION, certs[i]);
        SSL *client, *server;
        tls_outcome outcome;

        tls_pair_with(client_ctx, server_ctx, elsewhere, true, &client, &server);
        assert_true(SSL_set_session_secret_cb(server, give_secret, NULL));
        calls = 0;
        counts = true;
        outcome = tls_talk(client, server);
        counts = false;
        assert_talked("a secret", &outcome);
        assert_int_equal(calls, certs[i] == &world.site);
        tls_close(client, server);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
        OSSL_LIB_CTX_free(elsewhere);
    }
}

/* ---- renegotiation ---- */

static void test_renegotiation(void **state)
{
    const minted *certs[] = {&world.site, &world.web};
    char byte;
    size_t i;
    int turn;

    for (i = 0; i < 2; i++) {
        OSSL_LIB_CTX *elsewhere = OSSL_LIB_CTX_new();
        SSL_CTX *client_ctx = tls_ctx_in(elsewhere, TLS1_2_VERSION, &world.friend);
        SSL_CTX *server_ctx = tls_ctx(TLS1_2_VERSION, certs[i]);
        SSL *client, *server;
        tls_outcome outcome;

        SSL_CTX_set_options(server_ctx, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
        tls_pair_with(client_ctx, server_ctx, elsewhere, true, &client, &server);
        outcome = tls_talk(client, server);
        assert_talked("renegotiation", &outcome);
        SSL_renegotiate(client);
        for (turn = 0; turn < 5; turn++) {
            SSL_do_handshake(client);
            SSL_read(server, &byte, 1);
        }
        assert_int_equal(SSL_CTX_sess_accept_good(server_ctx), certs[i] == &world.site ? 2 : 1);
        tls_close(client, server);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
        OSSL_LIB_CTX_free(elsewhere);
    }
}

/* ---- earlier sessions ---- */

/* Talk, and return the client's session for the next time. */
static SSL_SESSION *talk(SSL_CTX *client_ctx, SSL_CTX *server_ctx, OSSL_LIB_CTX *elsewhere,
                         bool client_is_elsewhere, SSL_SESSION *session, bool reused)
{
    SSL_SESSION *next;
    SSL *client, *server;
    tls_outcome outcome;

    tls_pair_with(client_ctx, server_ctx, elsewhere, client_is_elsewhere, &client, &server);
    if (session != NULL)
        assert_true(SSL_set_session(client, session));
    outcome = tls_talk(client, server);
    assert_talked("an earlier session", &outcome);
    assert_int_equal(outcome.reused, reused);
    next = SSL_get1_session(client);
    tls_close(client, server);
    return next;
}

static void test_sessions(void **state)
{
    size_t v;
    int side;

    for (v = 0; v < 2; v++) {
        for (side = 0; side < 2; side++) {
            bool client_is_elsewhere = side == 1;
            OSSL_LIB_CTX *elsewhere = OSSL_LIB_CTX_new();
            SSL_CTX *client_ctx = client_is_elsewhere
                                      ? tls_ctx_in(elsewhere, tls_versions[v], &world.friend)
                                      : tls_ctx(tls_versions[v], NULL);
            SSL_CTX *server_ctx = client_is_elsewhere
                                      ? tls_ctx(tls_versions[v], &world.site)
                                      : tls_ctx_in(elsewhere, tls_versions[v], &world.web);
            SSL_SESSION *first, *second, *third;

            SSL_CTX_set_session_id_context(server_ctx, (const unsigned char *)"app", 3);
            first = talk(client_ctx, server_ctx, elsewhere, client_is_elsewhere, NULL, false);
            second = talk(client_ctx, server_ctx, elsewhere, client_is_elsewhere, first, true);
            tls_use(client_is_elsewhere ? server_ctx : client_ctx,
                    client_is_elsewhere ? &world.web : &world.friend); /* governed from here on */
            third = talk(client_ctx, server_ctx, elsewhere, client_is_elsewhere, second, false);
            SSL_SESSION_free(first);
            SSL_SESSION_free(second);
            SSL_SESSION_free(third);
            SSL_CTX_free(client_ctx);
            SSL_CTX_free(server_ctx);
            OSSL_LIB_CTX_free(elsewhere);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_keys, tls_reset),
        cmocka_unit_test_setup(test_a_secret, tls_reset),
        cmocka_unit_test_setup(test_renegotiation, tls_reset),
        cmocka_unit_test_setup(test_sessions, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
