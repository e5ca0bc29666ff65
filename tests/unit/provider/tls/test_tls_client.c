/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS client with a Connect leaf as its certificate, and the servers that it talks to. */
#include "unit.h"

#include <openssl/x509v3.h>

#include "hostile.h"
#include "tls.h"

/* Connect a client that verifies nothing by itself, as `curl -k` would. */
static tls_outcome dial(int version, const minted *server)
{
    SSL_CTX *server_ctx = tls_ctx(version, server), *client_ctx = tls_ctx(version, &world.friend);
    tls_outcome outcome = tls_connect(client_ctx, server_ctx);

    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

static void test_genuine(void **state)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        tls_outcome outcome = dial(tls_versions[i], &world.web);

        assert_talked("genuine", &outcome);
    }
    assert_int_equal(world.agent.questions, 2); /* the servers', not the clients' */
}

#define URI(text) .names = {{GEN_URI, text, 0}}

static const struct {
    const char *name;
    mint_order order;
    const minted *issuer; /* NULL: self-signed */
    const char *error;
} imposters[] = {
    {"foreign CA", {URI(SERVICE("web"))}, &world.foreign_ca, "not trusted by the Consul roots"},
    {"self-signed", {URI(SERVICE("web"))}, NULL, "not trusted by the Consul roots"},
    {"ordinary", {.subject = "site"}, NULL, "not trusted by the Consul roots"},
    {"ordinary, RSA", {.subject = "site", .rsa = true}, NULL, "not trusted by the Consul roots"},
    {"expired",
     {URI(SERVICE("web")), .not_before = -MINT_DAY, .not_after = -60},
     &world.ca,
     "certificate has expired"},
    {"clients only",
     {URI(SERVICE("web")), .ext_key_usage = "clientAuth"},
     &world.ca,
     "not trusted by the Consul roots"},
    {"other trust domain",
     {URI("spiffe://" OTHER_TD "/ns/default/dc/dc1/svc/web")},
     &world.ca,
     "its trust domain"},
    {"gateway", {URI("spiffe://" TD "/gateway/mesh/dc/dc1")}, &world.ca, "not a Connect service"},
    {"no name", {.subject = "web"}, &world.ca, "not a Connect service"},
    {"two URIs",
     {.names = {{GEN_URI, SERVICE("web"), 0}, {GEN_URI, SERVICE("db"), 0}}},
     &world.ca,
     "not a Connect service"},
};

static void test_imposters(void **state)
{
    size_t i, v;

    for (i = 0; i < sizeof(imposters) / sizeof(imposters[0]); i++) {
        minted server = mint(imposters[i].issuer, imposters[i].order);

        for (v = 0; v < 2; v++) {
            tls_outcome outcome = dial(tls_versions[v], &server);

            assert_refused(imposters[i].name, &outcome);
            assert_false(outcome.client_done);
            assert_contains(outcome.client_errors, "server refused: ");
            if (strstr(outcome.client_errors, imposters[i].error) == NULL)
                fail_msg("%s: %s", imposters[i].name, outcome.client_errors);
            assert_contains(outcome.server_errors, "alert");
        }
        minted_free(&server);
    }
}

/* ---- applications that think differently ---- */

static int accept_all(int ok, X509_STORE_CTX *ctx)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static int refuse_all(int ok, X509_STORE_CTX *ctx)
{
    return 0;
}

static void test_verify_callback(void **state)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        SSL_CTX *good_ctx = tls_ctx(tls_versions[i], &world.web);
        SSL_CTX *bad_ctx = tls_ctx(tls_versions[i], &world.stranger);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[i], &world.friend);
        tls_outcome outcome;

        SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, accept_all);
        outcome = tls_connect(client_ctx, bad_ctx);
        assert_refused("a callback that accepts all", &outcome);
        outcome = tls_connect(client_ctx, good_ctx);
        assert_talked("a callback that accepts all", &outcome);
        SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, refuse_all);
        outcome = tls_connect(client_ctx, good_ctx);
        assert_refused("a callback that refuses all", &outcome);
        assert_contains(outcome.client_errors, "peer refused by the application");
        SSL_CTX_free(good_ctx);
        SSL_CTX_free(bad_ctx);
        SSL_CTX_free(client_ctx);
    }
}

static void test_the_applications_store_decides_nothing(void **state)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[i], &world.stranger);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[i], &world.friend);
        tls_outcome outcome;

        SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, NULL);
        assert_true(X509_STORE_add_cert(SSL_CTX_get_cert_store(client_ctx), world.foreign_ca.cert));
        outcome = tls_connect(client_ctx, server_ctx);
        assert_refused("a CA of the application's", &outcome);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
}

/* ---- certificates that come late ---- */

static int give_leaf(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
    X509_up_ref(world.friend.cert);
    EVP_PKEY_up_ref(world.friend.key);
    *cert = world.friend.cert;
    *key = world.friend.key;
    return 1;
}

static int use_leaf(SSL *ssl, void *arg)
{
    return SSL_use_certificate(ssl, world.friend.cert) == 1
           && SSL_use_PrivateKey(ssl, world.friend.key) == 1;
}

/*
 * Connect a client whose leaf comes after the server has asked for one. Its own verification is then
 * over, by rules that knew of no mesh, and the application wants none. An impostor may get nothing
 * from then on.
 */
static tls_outcome dial_late(int version, const minted *server, bool with_cert_cb)
{
    SSL_CTX *server_ctx = tls_ctx(version, server), *client_ctx = tls_ctx(version, NULL);
    tls_outcome outcome;

    /* An impostor asks for a certificate like any other server, and takes any. */
    SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER, accept_all);
    if (with_cert_cb)
        SSL_CTX_set_cert_cb(client_ctx, use_leaf, NULL);
    else
        SSL_CTX_set_client_cert_cb(client_ctx, give_leaf);
    outcome = tls_connect(client_ctx, server_ctx);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

static void test_late_leaf(void **state)
{
    size_t i, how;

    for (i = 0; i < 2; i++) {
        for (how = 0; how < 2; how++) {
            tls_outcome outcome = dial_late(tls_versions[i], &world.site, how == 1);

            assert_refused("a late leaf to an ordinary server", &outcome);
            outcome = dial_late(tls_versions[i], &world.stranger, how == 1);
            assert_refused("a late leaf to an impostor", &outcome);
        }
    }
}

/* A leaf that the application sets on the SSL alone governs it as well. */
static void test_leaf_on_the_ssl(void **state)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        SSL_CTX *bad_ctx = tls_ctx(tls_versions[i], &world.site);
        SSL_CTX *good_ctx = tls_ctx(tls_versions[i], &world.web);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[i], NULL);
        SSL *client, *server;
        tls_outcome outcome;

        tls_pair(client_ctx, bad_ctx, &client, &server);
        assert_true(use_leaf(client, NULL));
        outcome = tls_talk(client, server);
        assert_refused("leaf on the SSL, ordinary server", &outcome);
        tls_close(client, server);
        tls_pair(client_ctx, good_ctx, &client, &server);
        assert_true(use_leaf(client, NULL));
        outcome = tls_talk(client, server);
        assert_talked("leaf on the SSL", &outcome);
        tls_close(client, server);
        SSL_CTX_free(bad_ctx);
        SSL_CTX_free(good_ctx);
        SSL_CTX_free(client_ctx);
    }
}

/* ---- clients that displace all of our callbacks ---- */

static int verified(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

/* Make a client without our callbacks. It also takes keys and anonymous ciphers. */
static SSL_CTX *displaced_client(int version, const minted *own)
{
    SSL_CTX *ctx = tls_ctx(version, own);

    hostile_displace(ctx, HOSTILE_ALL);
    SSL_CTX_set_cert_verify_callback(ctx, verified, NULL);
    assert_true(SSL_CTX_set_cipher_list(ctx, "aNULL:PSK:ALL:@SECLEVEL=0"));
    SSL_CTX_set_psk_client_callback(ctx, hostile_psk_client);
    return ctx;
}

/* Make a server outside of the mesh, which asks for a certificate, and takes any. */
static SSL_CTX *outside_server(int version, const char *ciphers, OSSL_LIB_CTX **libctx)
{
    SSL_CTX *ctx = tls_ctx_elsewhere(version, &world.site, libctx);

    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_all);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"app", 3);
    assert_true(SSL_CTX_set_cipher_list(ctx, ciphers));
    SSL_CTX_set_psk_server_callback(ctx, hostile_psk_server);
    SSL_CTX_set_dh_auto(ctx, 1);
    return ctx;
}

static void test_displaced_clients(void **state)
{
    static const char *const ciphers[] = {"ECDSA", "PSK:@SECLEVEL=0", "aNULL:@SECLEVEL=0"};
    size_t i, v;

    for (i = 0; i < 2 * 3 * 2; i++) {
        int version = tls_versions[i % 2];
        bool is_late = i / 6 == 1;
        OSSL_LIB_CTX *libctx;
        SSL_CTX *server_ctx = outside_server(version, ciphers[i / 2 % 3], &libctx);
        SSL_CTX *client_ctx = displaced_client(version, is_late ? NULL : &world.friend);
        tls_outcome outcome;

        if (is_late)
            SSL_CTX_set_cert_cb(client_ctx, use_leaf, NULL);
        outcome = tls_connect(client_ctx, server_ctx);
        /* With a key or anonymous, the server does not ask for the leaf that comes late. */
        if (!is_late || i / 2 % 3 == 0 || version == TLS1_3_VERSION)
            assert_refused(ciphers[i / 2 % 3], &outcome);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
        OSSL_LIB_CTX_free(libctx);
    }
    for (v = 0; v < 2; v++) { /* the right server is not kept out */
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.friend);
        tls_outcome outcome;

        hostile_displace(client_ctx, HOSTILE_ALL);
        outcome = tls_connect(client_ctx, server_ctx);
        assert_talked("genuine", &outcome);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
    }
}

static minted same_key; /* a leaf of the key of an ordinary certificate */

static int use_same_key(SSL *ssl, void *arg)
{
    return SSL_use_certificate(ssl, same_key.cert);
}

/* A leaf comes in the handshake, in place of an ordinary certificate of the same key. No ordinary server of TLS 1.3 sees it. */
static void test_a_leaf_of_the_same_key(void **state)
{
    static const unsigned int displaced[] = {HOSTILE_SECURITY, HOSTILE_ALL};
    size_t i, v;

    same_key = mint(
        &world.ca, (mint_order){.names = {{GEN_URI, SERVICE("friend"), 0}}, .key = world.site.key});
    for (i = 0; i < 2; i++) {
        for (v = 0; v < 2; v++) {
            OSSL_LIB_CTX *libctx;
            SSL_CTX *server_ctx = outside_server(tls_versions[v], "ECDSA", &libctx);
            SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.site);
            SSL *client, *server;
            tls_outcome outcome;

            hostile_displace(client_ctx, displaced[i]);
            SSL_CTX_set_cert_cb(client_ctx, use_same_key, NULL);
            tls_pair_with(client_ctx, server_ctx, libctx, false, &client, &server);
            outcome = tls_talk(client, server);
            assert_refused("an ordinary server", &outcome);
            if (tls_versions[v] == TLS1_3_VERSION)
                assert_null(SSL_get0_peer_certificate(server));
            tls_close(client, server);
            SSL_CTX_free(client_ctx);
            SSL_CTX_free(server_ctx);
            OSSL_LIB_CTX_free(libctx);
        }
    }
    minted_free(&same_key);
}

/* The session of a client from before it had its leaf. */
static void test_displaced_clients_forget_sessions(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        OSSL_LIB_CTX *libctx;
        SSL_CTX *server_ctx = outside_server(tls_versions[v], "ECDSA", &libctx);
        SSL_CTX *client_ctx = displaced_client(tls_versions[v], NULL);
        SSL *client, *server;
        SSL_SESSION *session;
        tls_outcome outcome;

        tls_pair(client_ctx, server_ctx, &client, &server);
        outcome = tls_talk(client, server);
        assert_talked("ordinary", &outcome);
        session = SSL_get1_session(client);
        tls_close(client, server);
        tls_pair(client_ctx, server_ctx, &client, &server);
        assert_true(SSL_set_session(client, session) && use_leaf(client, NULL));
        outcome = tls_talk(client, server);
        assert_refused("a session with an ordinary server", &outcome);
        tls_close(client, server);
        SSL_SESSION_free(session);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
        OSSL_LIB_CTX_free(libctx);
    }
}

/* Such a client talks to servers with tickets, and again with its session. */
static void test_own_security_callback(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        OSSL_LIB_CTX *libctx;
        SSL_CTX *server_ctx = tls_ctx_elsewhere(tls_versions[v], &world.web, &libctx);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.friend);
        SSL_SESSION *session = NULL;
        SSL *client, *server;
        tls_outcome outcome;
        int i;

        hostile_displace(client_ctx, HOSTILE_SECURITY);
        for (i = 0; i < 2; i++) {
            tls_pair(client_ctx, server_ctx, &client, &server);
            if (session != NULL)
                SSL_set_session(client, session);
            outcome = tls_talk(client, server);
            assert_talked("a server with tickets", &outcome);
            assert_false(outcome.reused);
            SSL_SESSION_free(session);
            session = SSL_get1_session(client);
            tls_close(client, server);
        }
        SSL_SESSION_free(session);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
        OSSL_LIB_CTX_free(libctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_genuine, tls_reset),
        cmocka_unit_test_setup(test_imposters, tls_reset),
        cmocka_unit_test_setup(test_verify_callback, tls_reset),
        cmocka_unit_test_setup(test_the_applications_store_decides_nothing, tls_reset),
        cmocka_unit_test_setup(test_late_leaf, tls_reset),
        cmocka_unit_test_setup(test_leaf_on_the_ssl, tls_reset),
        cmocka_unit_test_setup(test_displaced_clients, tls_reset),
        cmocka_unit_test_setup(test_a_leaf_of_the_same_key, tls_reset),
        cmocka_unit_test_setup(test_displaced_clients_forget_sessions, tls_reset),
        cmocka_unit_test_setup(test_own_security_callback, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
