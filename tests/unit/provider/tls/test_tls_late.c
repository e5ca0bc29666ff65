/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates that come late in a handshake. Some come while our security callback is away. The peer, without the
 * provider, tells which certificate was sent to it.
 */
#include "unit.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "hostile.h"
#include "tls.h"

static OSSL_LIB_CTX *elsewhere; /* of the peers */
static minted stand_in;         /* with an RSA key */
static minted stand_in_ec;

static int accept_all(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

/* ---- servers ---- */

static const minted *late;     /* the certificate that comes */
static const char *its_state;  /* of the handshake, by its name */
static bool is_unseen, is_set; /* the security callback is away meanwhile; it has come */

static void give(SSL *ssl)
{
    int (*security)(const SSL *, const SSL_CTX *, int, int, int, void *, void *) =
        SSL_get_security_callback(ssl);

    if (is_unseen)
        SSL_set_security_callback(ssl, hostile_security);
    assert_int_equal(SSL_use_certificate(ssl, late->cert), 1);
    assert_int_equal(SSL_use_PrivateKey(ssl, late->key), 1);
    if (is_unseen)
        SSL_set_security_callback(ssl, security);
    is_set = true;
}

static void give_in_a_step(const SSL *ssl, int where, int value)
{
    if ((where & SSL_CB_LOOP) != 0 && !is_set && strcmp(SSL_state_string(ssl), its_state) == 0)
        give((SSL *)ssl);
}

/* Let a client come to an ordinary server of TLS 1.3, which gets that certificate after its EncryptedExtensions. */
static tls_outcome serve_late(const minted *client_cert, int mode, X509 **sent)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.site);
    SSL_CTX *client_ctx = tls_ctx_in(elsewhere, TLS1_3_VERSION, client_cert);
    SSL *client, *server;
    tls_outcome outcome;

    its_state = "TWEE";
    is_set = false;
    SSL_CTX_set_info_callback(server_ctx, give_in_a_step);
    SSL_CTX_set_verify(server_ctx, mode, NULL);
    tls_pair_with(client_ctx, server_ctx, elsewhere, true, &client, &server);
    outcome = tls_talk(client, server);
    assert_true(is_set);
    *sent = SSL_get1_peer_certificate(client);
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

/* It is seen at once, and the client is asked for its certificate. */
static void test_a_leaf_that_is_seen(void **state)
{
    tls_outcome outcome;
    X509 *sent;

    late = &world.web;
    is_unseen = false;
    outcome = serve_late(&world.friend, SSL_VERIFY_NONE, &sent);
    assert_talked("a friend", &outcome);
    X509_free(sent);
    outcome = serve_late(NULL, SSL_VERIFY_NONE, &sent);
    assert_refused("nobody", &outcome);
    X509_free(sent);
}

/* The client is asked for nothing. The leaf is not sent to it. */
static void test_a_leaf_that_is_too_late(void **state)
{
    tls_outcome outcome;
    X509 *sent;

    late = &world.web;
    is_unseen = true;
    outcome = serve_late(&world.friend, SSL_VERIFY_NONE, &sent);
    assert_refused("too late", &outcome);
    /* OpenSSL 3.5 has chosen its key before, and the client refuses the proof. */
    if (OpenSSL_version_num() < 0x30200000L) {
        assert_contains(outcome.server_errors, "came too late");
        assert_null(sent);
    }
    X509_free(sent);
}

static void test_a_stand_in_is_not_sent(void **state)
{
    tls_outcome outcome;
    X509 *sent;

    late = &stand_in_ec;
    is_unseen = true;
    outcome = serve_late(&world.friend, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, &sent);
    assert_refused("a stand-in", &outcome);
    assert_contains(outcome.server_errors, "it is not the live leaf that would be presented");
    assert_null(sent);
}

static int give_key(SSL *ssl, void *arg)
{
    return SSL_use_PrivateKey(ssl, world.web.key);
}

/* OpenSSL lists no certificate without its key. The leaf is there from the start, and its key comes in the handshake. */
static void test_a_key_that_comes_later(void **state)
{
    static const unsigned int displaced[] = {0, HOSTILE_SECURITY, HOSTILE_ALL};
    size_t i, v;

    for (i = 0; i < sizeof(displaced) / sizeof(displaced[0]); i++) {
        for (v = 0; v < 2; v++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], NULL);
            SSL_CTX *client_ctxs[] = {tls_ctx_in(elsewhere, tls_versions[v], NULL),
                                      tls_ctx_in(elsewhere, tls_versions[v], &world.friend)};
            SSL *client, *server;
            tls_outcome outcome;
            size_t k;

            assert_int_equal(SSL_CTX_use_certificate(server_ctx, world.web.cert), 1);
            hostile_displace(server_ctx, displaced[i]);
            SSL_CTX_set_cert_cb(server_ctx, give_key, NULL);
            for (k = 0; k < 2; k++) {
                tls_pair_with(client_ctxs[k], server_ctx, elsewhere, true, &client, &server);
                outcome = tls_talk(client, server);
                if (k == 0)
                    assert_refused("nobody", &outcome);
                else
                    assert_talked("a friend", &outcome);
                tls_close(client, server);
                SSL_CTX_free(client_ctxs[k]);
            }
            SSL_CTX_free(server_ctx);
        }
    }
}

#define EXTENSION 65000 /* for private use, RFC 8446 */

static int displace_and_parse(SSL *ssl, unsigned int type, unsigned int context,
                              const unsigned char *in, size_t len, X509 *cert, size_t index,
                              int *alert, void *arg)
{
    hostile_displace_on_ssl(ssl, HOSTILE_SECURITY | HOSTILE_MESSAGE | HOSTILE_NOT_RESUMABLE);
    return 1;
}

static int give_web(SSL *ssl, void *arg)
{
    return SSL_use_certificate(ssl, world.web.cert) == 1
           && SSL_use_PrivateKey(ssl, world.web.key) == 1;
}

static void no_info(const SSL *ssl, int where, int value)
{
}

/* The other callbacks go once the ClientHello has been read, and the info callback of the context before. */
static void test_no_certificate_and_no_callbacks(void **state)
{
    const minted *client_certs[] = {NULL, &world.stranger, &world.friend};
    tls_outcome outcome;
    SSL_CTX *client_ctx, *server_ctx;
    SSL *client, *server;
    size_t i, v;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < 3; i++) {
            server_ctx = tls_ctx(tls_versions[v], NULL);
            client_ctx = tls_ctx_in(elsewhere, tls_versions[v], client_certs[i]);
            SSL_CTX_set_cert_cb(server_ctx, give_web, NULL);
            SSL_CTX_set_info_callback(server_ctx, no_info);
            SSL_CTX_set_verify(server_ctx, SSL_VERIFY_NONE, NULL);
            assert_int_equal(SSL_CTX_add_custom_ext(server_ctx, EXTENSION, SSL_EXT_CLIENT_HELLO,
                                                    NULL, NULL, NULL, displace_and_parse, NULL),
                             1);
            assert_int_equal(SSL_CTX_add_custom_ext(client_ctx, EXTENSION, SSL_EXT_CLIENT_HELLO,
                                                    NULL, NULL, NULL, NULL, NULL),
                             1);
            tls_pair_with(client_ctx, server_ctx, elsewhere, true, &client, &server);
            outcome = tls_talk(client, server);
            if (client_certs[i] == &world.friend)
                assert_talked("a friend", &outcome);
            else
                assert_refused(i == 0 ? "nobody" : "a stranger", &outcome);
            tls_close(client, server);
            SSL_CTX_free(client_ctx);
            SSL_CTX_free(server_ctx);
        }
    }
}

/* ---- stand-ins of servers ---- */

static int keep_it(SSL *ssl, void *arg)
{
    return 1;
}

/* Put a certificate callback in the place of ours. */
static int set_cert_cb(SSL *ssl, int *alert, void *arg)
{
    SSL_set_cert_cb(ssl, keep_it, NULL);
    return SSL_TLSEXT_ERR_OK;
}

/* Each of the last guards presents the live leaf by itself, or nothing. First: the agent has no leaf so far. */
static void test_a_stand_in_stays_behind(void **state)
{
    static const struct {
        const char *name;
        unsigned int displaced;
        bool own_cert_cb, has_leaf;
    } rows[] = {
        {"no leaf by message", HOSTILE_SECURITY | HOSTILE_NOT_RESUMABLE, true, false},
        {"no leaf by session", HOSTILE_SECURITY | HOSTILE_MESSAGE, true, false},
        {"no leaf by certificate callback",
         HOSTILE_SECURITY | HOSTILE_MESSAGE | HOSTILE_NOT_RESUMABLE, false, false},
        {"a leaf by message", HOSTILE_SECURITY | HOSTILE_NOT_RESUMABLE, true, true},
        {"a leaf by session", HOSTILE_SECURITY | HOSTILE_MESSAGE, true, true},
    };
    size_t i, v;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (v = 0; v < 2; v++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &stand_in_ec);
            SSL_CTX *client_ctx = tls_ctx_in(elsewhere, tls_versions[v], &world.friend);
            SSL *client, *server;
            tls_outcome outcome;
            X509 *sent;

            if (rows[i].has_leaf)
                fake_agent_set_leaf(&world.agent, &world.web);
            else
                fake_agent_take_leaf(&world.agent);
            hostile_displace(server_ctx, rows[i].displaced);
            if (rows[i].own_cert_cb)
                SSL_CTX_set_tlsext_servername_callback(server_ctx, set_cert_cb);
            tls_pair_with(client_ctx, server_ctx, elsewhere, true, &client, &server);
            SSL_set_tlsext_host_name(client, "somewhere.example");
            outcome = tls_talk(client, server);
            sent = SSL_get0_peer_certificate(client);
            if (!rows[i].has_leaf)
                assert_refused(rows[i].name, &outcome);
            if (sent != NULL && (!rows[i].has_leaf || X509_cmp(sent, world.web.cert) != 0))
                fail_msg("%s: the stand-in was sent\nserver: %s", rows[i].name,
                         outcome.server_errors);
            if (rows[i].has_leaf)
                assert_talked(rows[i].name, &outcome);
            tls_close(client, server);
            SSL_CTX_free(server_ctx);
            SSL_CTX_free(client_ctx);
        }
    }
}

/* A client takes RSA alone, and the server has an RSA certificate beside its stand-in. The client gets neither. */
static void test_nothing_beside_the_leaf(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &stand_in_ec);
        SSL_CTX *client_ctx = tls_ctx_in(elsewhere, tls_versions[v], NULL);
        SSL *client, *server;
        tls_outcome outcome;

        tls_use(server_ctx, &world.site_rsa);
        hostile_displace(server_ctx, HOSTILE_SECURITY | HOSTILE_MESSAGE | HOSTILE_NOT_RESUMABLE);
        assert_true(SSL_CTX_set1_sigalgs_list(client_ctx, "rsa_pss_rsae_sha256:RSA+SHA256"));
        tls_pair_with(client_ctx, server_ctx, elsewhere, true, &client, &server);
        outcome = tls_talk(client, server);
        assert_refused("RSA alone", &outcome);
        assert_null(SSL_get0_peer_certificate(client));
        tls_close(client, server);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
}

/* OpenSSL takes no leaf with a key of 128 bits at security level 4. The error says so. */
static void test_a_leaf_of_no_use(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &stand_in_ec);
        SSL_CTX *client_ctx = tls_ctx_in(elsewhere, tls_versions[v], &world.friend);
        SSL *client, *server;
        tls_outcome outcome;

        tls_pair_with(client_ctx, server_ctx, elsewhere, true, &client, &server);
        SSL_set_security_level(server, 4);
        outcome = tls_talk(client, server);
        assert_refused("a leaf of no use", &outcome);
        assert_contains(outcome.server_errors, "OpenSSL does not accept the leaf of \"web\"");
        tls_close(client, server);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
}

/* ---- clients ---- */

/* Give an RSA certificate, where the server takes none of the leaf's type. */
static int give_another(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
    X509_up_ref(world.site_rsa.cert);
    EVP_PKEY_up_ref(world.site_rsa.key);
    *cert = world.site_rsa.cert;
    *key = world.site_rsa.key;
    is_set = true;
    return 1;
}

/* The server admits whatever it is shown. It would take the client for the owner of that certificate. */
static void test_nothing_in_the_place_of_the_leaf(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &stand_in);
        SSL_CTX *server_ctx = tls_ctx_in(elsewhere, tls_versions[v], &world.friend);
        SSL *client, *server;
        tls_outcome outcome;

        is_set = false;
        SSL_CTX_set_client_cert_cb(client_ctx, give_another);
        SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        SSL_CTX_set_cert_verify_callback(server_ctx, accept_all, NULL);
        assert_true(SSL_CTX_set1_client_sigalgs_list(server_ctx, "rsa_pss_rsae_sha256:RSA+SHA256"));
        tls_pair_with(client_ctx, server_ctx, elsewhere, false, &client, &server);
        outcome = tls_talk(client, server);
        assert_true(is_set);
        assert_refused("another certificate", &outcome);
        assert_contains(outcome.client_errors, "it is not the live leaf that would be presented");
        assert_null(SSL_get0_peer_certificate(server));
        tls_close(client, server);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
    }
}

static int set_up(void **state)
{
    int result = tls_set_up(state);

    elsewhere = OSSL_LIB_CTX_new();
    stand_in = mint(NULL, (mint_order){.rsa = true, .names = {{GEN_URI, "consul:leaf/web", 0}}});
    stand_in_ec = mint_stand_in("consul:leaf/web");
    return elsewhere == NULL ? -1 : result;
}

static int tear_down(void **state)
{
    minted_free(&stand_in);
    minted_free(&stand_in_ec);
    OSSL_LIB_CTX_free(elsewhere);
    return tls_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_no_certificate_and_no_callbacks,
                               tls_reset), /* first: no SSL_CTX has a leaf yet */
        cmocka_unit_test_setup(test_a_stand_in_stays_behind, tls_reset),
        cmocka_unit_test_setup(test_a_leaf_that_is_seen, tls_reset),
        cmocka_unit_test_setup(test_a_leaf_that_is_too_late, tls_reset),
        cmocka_unit_test_setup(test_a_stand_in_is_not_sent, tls_reset),
        cmocka_unit_test_setup(test_a_key_that_comes_later, tls_reset),
        cmocka_unit_test_setup(test_nothing_beside_the_leaf, tls_reset),
        cmocka_unit_test_setup(test_a_leaf_of_no_use, tls_reset),
        cmocka_unit_test_setup(test_nothing_in_the_place_of_the_leaf, tls_reset),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
