/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS client with a Connect leaf as its certificate, and the servers that it talks to. */
#include "unit.h"

#include <openssl/x509v3.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_genuine, tls_reset),
        cmocka_unit_test_setup(test_imposters, tls_reset),
        cmocka_unit_test_setup(test_verify_callback, tls_reset),
        cmocka_unit_test_setup(test_the_applications_store_decides_nothing, tls_reset),
        cmocka_unit_test_setup(test_late_leaf, tls_reset),
        cmocka_unit_test_setup(test_leaf_on_the_ssl, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
