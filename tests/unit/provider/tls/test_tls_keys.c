/* SPDX-License-Identifier: Apache-2.0 */
/* Substitutes for a certificate: pre-shared keys, and ciphers without authentication. */
#include "unit.h"

#include "hostile.h"
#include "tls.h"

static void set_nothing(SSL_CTX *ctx)
{
}

static void set_psk_server(SSL_CTX *ctx)
{
    SSL_CTX_set_psk_server_callback(ctx, hostile_psk_server);
}

static void set_psk_find(SSL_CTX *ctx)
{
    SSL_CTX_set_psk_find_session_callback(ctx, hostile_psk_find);
}

static void set_both_on_ssl(SSL *ssl)
{
    SSL_set_psk_server_callback(ssl, hostile_psk_server);
    if (SSL_version(ssl) == TLS1_3_VERSION)
        SSL_set_psk_find_session_callback(ssl, hostile_psk_find);
}

static int set_both_in_hello(SSL *ssl, int *alert, void *arg)
{
    set_both_on_ssl(ssl);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static void set_in_client_hello(SSL_CTX *ctx)
{
    SSL_CTX_set_client_hello_cb(ctx, set_both_in_hello, NULL);
    /* makes OpenSSL think of a PSK at all */
    SSL_CTX_set_psk_server_callback(ctx, hostile_psk_server);
}

static void set_anonymous(SSL_CTX *ctx)
{
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_cipher_list(ctx, "aNULL:ALL:@SECLEVEL=0");
    SSL_CTX_set_dh_auto(ctx, 1);
}

static void set_anonymous_without_security(SSL_CTX *ctx)
{
    set_anonymous(ctx);
    SSL_CTX_set_security_callback(ctx, hostile_security);
}

static void set_psk_without_security(SSL_CTX *ctx)
{
    set_psk_server(ctx);
    SSL_CTX_set_security_callback(ctx, hostile_security);
}

static const struct {
    const char *name;
    int version;
    const char *ciphers; /* the client's offer, or NULL for all */
    void (*on_server_ctx)(SSL_CTX *ctx);
    void (*on_server)(SSL *ssl);
} key_ways[] = {
    {"PSK", TLS1_2_VERSION, "PSK-AES128-GCM-SHA256", set_psk_server, NULL},
    {"ECDHE-PSK", TLS1_2_VERSION, "kECDHEPSK", set_psk_server, NULL},
    {"RSA-PSK", TLS1_2_VERSION, "kRSAPSK", set_psk_server, NULL},
    {"PSK set on the SSL", TLS1_2_VERSION, "PSK-AES128-GCM-SHA256", set_nothing, set_both_on_ssl},
    {"PSK set in the hello", TLS1_2_VERSION, "PSK-AES128-GCM-SHA256", set_in_client_hello, NULL},
    {"PSK, security displaced", TLS1_2_VERSION, "PSK-AES128-GCM-SHA256", set_psk_without_security,
     NULL},
    {"anonymous", TLS1_2_VERSION, "aNULL:@SECLEVEL=0", set_anonymous, NULL},
    {"anonymous, security displaced", TLS1_2_VERSION, "aNULL:@SECLEVEL=0",
     set_anonymous_without_security, NULL},
    {"1.3 session callback", TLS1_3_VERSION, NULL, set_psk_find, NULL},
    {"1.3 old callback", TLS1_3_VERSION, NULL, set_psk_server, NULL},
    {"1.3 set on the SSL", TLS1_3_VERSION, NULL, set_nothing, set_both_on_ssl},
    {"1.3 set in the hello", TLS1_3_VERSION, NULL, set_in_client_hello, NULL},
};

#define KEY_WAYS (sizeof(key_ways) / sizeof(key_ways[0]))

/* Connect a client without a certificate that knows the key. */
static tls_outcome use_key(size_t way, const minted *own)
{
    int version = key_ways[way].version;
    SSL_CTX *server_ctx = tls_ctx(version, own), *client_ctx = tls_ctx(version, NULL);
    SSL *client, *server;
    tls_outcome outcome;

    key_ways[way].on_server_ctx(server_ctx);
    if (key_ways[way].ciphers != NULL)
        assert_true(SSL_CTX_set_cipher_list(client_ctx, key_ways[way].ciphers));
    if (strstr(key_ways[way].name, "RSA") != NULL)
        assert_true(SSL_CTX_use_certificate(server_ctx, world.site_rsa.cert)
                    && SSL_CTX_use_PrivateKey(server_ctx, world.site_rsa.key));
    if (version == TLS1_3_VERSION)
        SSL_CTX_set_psk_use_session_callback(client_ctx, hostile_psk_use);
    SSL_CTX_set_psk_client_callback(client_ctx, hostile_psk_client);
    tls_pair(client_ctx, server_ctx, &client, &server);
    if (key_ways[way].on_server != NULL)
        key_ways[way].on_server(server);
    outcome = tls_talk(client, server);
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

static void test_ordinary_keys(void **state)
{
    size_t i;

    for (i = 0; i < KEY_WAYS; i++) {
        tls_outcome outcome = use_key(i, &world.site);

        assert_talked(key_ways[i].name, &outcome);
    }
}

static void test_keys_are_no_certificates(void **state)
{
    size_t i;

    for (i = 0; i < KEY_WAYS; i++) {
        tls_outcome outcome = use_key(i, &world.web);

        assert_refused(key_ways[i].name, &outcome);
        /* Where no callback of ours has refused the cipher, its choice is the stop. */
        if (strcmp(key_ways[i].name, "anonymous, security displaced") == 0) {
            assert_contains(outcome.server_errors, "the cipher authenticates no peer");
            assert_false(outcome.client_done);
        }
    }
}

/* A friend that would do without certificates, too, is served with one. */
static void test_a_friend_with_anonymous_ciphers(void **state)
{
    OSSL_LIB_CTX *libctx;
    SSL_CTX *server_ctx = tls_ctx(TLS1_2_VERSION, &world.web);
    SSL_CTX *client_ctx = tls_ctx_elsewhere(TLS1_2_VERSION, &world.friend, &libctx);
    SSL *client, *server;
    tls_outcome outcome;

    set_anonymous(server_ctx);
    set_anonymous(client_ctx);
    tls_pair_with(client_ctx, server_ctx, libctx, true, &client, &server);
    outcome = tls_talk(client, server);
    assert_talked("anonymous ciphers first", &outcome);
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    OSSL_LIB_CTX_free(libctx);
}

/* The client's side: a key is no proof that the server is a service. */
static void test_client_takes_no_keys(void **state)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        int version = tls_versions[i];
        SSL_CTX *server_ctx = tls_ctx(version, &world.site);
        SSL_CTX *client_ctx = tls_ctx(version, &world.friend);
        tls_outcome outcome;

        set_psk_server(server_ctx);
        SSL_CTX_set_psk_client_callback(client_ctx, hostile_psk_client);
        if (version == TLS1_3_VERSION) {
            set_psk_find(server_ctx);
            SSL_CTX_set_psk_use_session_callback(client_ctx, hostile_psk_use);
        } else {
            assert_true(SSL_CTX_set_cipher_list(client_ctx, "PSK-AES128-GCM-SHA256"));
        }
        outcome = tls_connect(client_ctx, server_ctx);
        assert_refused("a server that knows the key", &outcome);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
}

/* ---- raw public keys, RFC 7250, of OpenSSL 3.2 and later ---- */

#ifdef TLSEXT_cert_type_rpk

static int accept_any(X509_STORE_CTX *ctx, void *arg)
{
    return 1;
}

/*
 * Connect two sides. The first shows the public key of `shown` and no certificate. The other side
 * asks for that, and accepts any, as far as it has a say.
 */
static tls_outcome show_key(int version, const minted *shown, bool by_client, const minted *other,
                            bool displaced)
{
    static const unsigned char types[] = {TLSEXT_cert_type_rpk};
    SSL_CTX *shows = tls_ctx(version, shown), *asks = tls_ctx(version, other);
    tls_outcome outcome;

    if (by_client) {
        assert_true(SSL_CTX_set1_client_cert_type(shows, types, sizeof(types)));
        assert_true(SSL_CTX_set1_client_cert_type(asks, types, sizeof(types)));
    } else {
        assert_true(SSL_CTX_set1_server_cert_type(shows, types, sizeof(types)));
        assert_true(SSL_CTX_set1_server_cert_type(asks, types, sizeof(types)));
    }
    SSL_CTX_set_verify(asks, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    if (displaced)
        SSL_CTX_set_cert_verify_callback(asks, accept_any, NULL);
    outcome = by_client ? tls_connect(shows, asks) : tls_connect(asks, shows);
    SSL_CTX_free(shows);
    SSL_CTX_free(asks);
    return outcome;
}

static void test_raw_public_keys(void **state)
{
    size_t i, v;

    for (i = 0; i < 2; i++) {
        for (v = 0; v < 2; v++) {
            int version = tls_versions[v];
            tls_outcome outcome = show_key(version, &world.site, i == 0, &world.site, true);

            assert_talked("ordinary", &outcome);
            outcome = show_key(version, &world.site, i == 0, &world.web, false);
            assert_refused("any key", &outcome);
            outcome = show_key(version, &world.site, i == 0, &world.web, true);
            assert_refused("any key, to a server or client that accepts any", &outcome);
            /* The key of a leaf does not count, either: it does not tell its owner. */
            outcome = show_key(version, &world.friend, i == 0, &world.web, false);
            assert_refused("a friend's key", &outcome);
        }
    }
    assert_int_equal(world.agent.questions, 0);
}

#endif

/*
 * An SSL may be given its leaf again. From OpenSSL 3.2 on that looks like a compression beforehand, unless
 * the application wants none (SSL_OP_NO_TX_CERTIFICATE_COMPRESSION).
 */
static void test_a_leaf_given_again(void **state)
{
    SSL_CTX *ctx = tls_ctx(TLS1_3_VERSION, &world.web);
    SSL *ssl = SSL_new(ctx);

    assert_non_null(ssl);
    if (OpenSSL_version_num() >= 0x30200000UL)
        SSL_set_options(ssl, (uint64_t)1 << 32);
    assert_int_equal(SSL_use_certificate(ssl, world.web.cert), 1);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_leaf_given_again),
        cmocka_unit_test_setup(test_ordinary_keys, tls_reset),
        cmocka_unit_test_setup(test_keys_are_no_certificates, tls_reset),
        cmocka_unit_test_setup(test_a_friend_with_anonymous_ciphers, tls_reset),
        cmocka_unit_test_setup(test_client_takes_no_keys, tls_reset),
#ifdef TLSEXT_cert_type_rpk
        cmocka_unit_test_setup(test_raw_public_keys, tls_reset),
#endif
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
