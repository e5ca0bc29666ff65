/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that were stopped, and applications that have them go on: SSL_set_shutdown takes a stop back. */
#include "unit.h"

#include <openssl/err.h>

#include "hostile.h"
#include "tls.h"

static int accept_all(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static void go_on(const SSL *ssl, int where, int value)
{
    SSL_set_shutdown((SSL *)ssl, 0);
}

/* Make a context that verifies by itself. It is stopped at the end of the handshake, and not before. */
static SSL_CTX *make_ctx(int version, const minted *own, bool resets)
{
    SSL_CTX *ctx = tls_ctx(version, own);

    hostile_displace(ctx, HOSTILE_SECURITY);
    SSL_CTX_set_cert_verify_callback(ctx, accept_all, NULL);
    if (resets)
        SSL_CTX_set_info_callback(ctx, go_on);
    return ctx;
}

/* Let both talk. Take back the shutdown of this side, and the change of its BIO. Then let them try again. */
static void assert_silent(SSL *client, SSL *server, SSL *stopped, bool at_once)
{
    BIO *bio = SSL_get_wbio(stopped);
    tls_outcome outcome;
    int i;

    assert_true(BIO_up_ref(bio));
    outcome = at_once ? tls_talk_at_once(client, server) : tls_talk(client, server);
    assert_refused("at first", &outcome);
    for (i = 0; i < 3; i++) {
        SSL_set_shutdown(stopped, 0);
        if (i > 0) {
            assert_true(BIO_up_ref(bio));
            SSL_set0_wbio(stopped, bio);
        }
        outcome = tls_talk_at_once(client, server);
        assert_refused("after a reset", &outcome);
    }
    BIO_free(bio);
}

static void try_to_go_on(int version, bool resets, bool at_once)
{
    SSL_CTX *web = make_ctx(version, &world.web, resets), *site = tls_ctx(version, &world.site),
            *friend = make_ctx(version, &world.friend, resets);
    SSL *client, *server;

    tls_pair(site, web, &client, &server);
    assert_silent(client, server, server, at_once);
    tls_close(client, server);
    tls_pair(friend, site, &client, &server);
    assert_silent(client, server, client, at_once);
    tls_close(client, server);
    SSL_CTX_free(web);
    SSL_CTX_free(friend);
    SSL_CTX_free(site);
}

static void test_reset(void **state)
{
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < 4; i++)
            try_to_go_on(tls_versions[v], (i & 1) != 0, (i & 2) != 0);
    }
}

/* Without a signature in the handshake to be asked about, its end comes. An SSL_write that has made it goes on. */
static void test_write_at_the_end(void **state)
{
    SSL_CTX *site = tls_ctx(TLS1_2_VERSION, &world.site_rsa),
            *friend = make_ctx(TLS1_2_VERSION, &world.friend, false);
    SSL *client, *server;
    tls_outcome outcome;

    assert_true(SSL_CTX_set_cipher_list(site, "kRSA"));
    tls_pair(friend, site, &client, &server);
    outcome = tls_talk_at_once(client, server);
    assert_refused("a server of no mesh", &outcome);
    tls_close(client, server);
    SSL_CTX_free(friend);
    SSL_CTX_free(site);
}

/* libssl asks about no signature with an RSA key exchange, and before TLS 1.2. The end would be the only stop. */
static void test_without_a_signature(void **state)
{
    SSL_CTX *site = tls_ctx(TLS1_2_VERSION, &world.site_rsa);
    size_t i;

    assert_true(SSL_CTX_set_cipher_list(site, "kRSA"));
    for (i = 0; i < 4; i++) {
        SSL_CTX *friend = make_ctx(TLS1_2_VERSION, &world.friend, (i & 1) != 0);
        SSL *client, *server;

        tls_pair(friend, site, &client, &server);
        assert_silent(client, server, client, (i & 2) != 0);
        tls_close(client, server);
        SSL_CTX_free(friend);
    }
    SSL_CTX_free(site);
}

static void test_before_1_2(void **state)
{
    size_t i;

    for (i = 0; i < 8; i++) {
        bool is_client = (i & 4) != 0;
        SSL_CTX *ours =
            make_ctx(TLS1_1_VERSION, is_client ? &world.friend : &world.web, (i & 1) != 0);
        SSL_CTX *site = tls_ctx(TLS1_1_VERSION, &world.site);
        SSL *client, *server;

        SSL_CTX_set_security_level(ours, 0);
        SSL_CTX_set_security_level(site, 0);
        tls_pair(is_client ? ours : site, is_client ? site : ours, &client, &server);
        assert_silent(client, server, is_client ? client : server, (i & 2) != 0);
        tls_close(client, server);
        SSL_CTX_free(ours);
        SSL_CTX_free(site);
    }
}

/* ---- a client that is given its leaf when it is asked for it, after all questions about its server ---- */

static const minted *given; /* the leaf, or its stand-in */

static int give_leaf(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
    X509_up_ref(given->cert);
    EVP_PKEY_up_ref(given->key);
    *cert = given->cert;
    *key = given->key;
    return 1;
}

static int use_leaf(SSL *ssl, void *arg)
{
    return SSL_use_certificate(ssl, given->cert) == 1 && SSL_use_PrivateKey(ssl, given->key) == 1;
}

/* Nor is the leaf shown, where one of the two other callbacks is displaced, too. With OpenSSL 4 messages or info are needed. */
static void come_late(const minted *leaf)
{
    static const unsigned int displaced[] = {0, HOSTILE_NOT_RESUMABLE, HOSTILE_MESSAGE};
    size_t i;

    given = leaf;
    for (i = 0; i < 3 * 16; i++) {
        int version = tls_versions[i & 1];
        SSL_CTX *ours, *site;
        SSL *client, *server;

        if (displaced[i / 16] == HOSTILE_MESSAGE && (i & 2) != 0 && !hostile_leaves_extension())
            continue;
        ours = make_ctx(version, NULL, (i & 2) != 0);
        site = tls_ctx(version, &world.site);
        hostile_displace(ours, displaced[i / 16]);
        if ((i & 8) == 0)
            SSL_CTX_set_client_cert_cb(ours, give_leaf);
        else
            SSL_CTX_set_cert_cb(ours, use_leaf, NULL);
        SSL_CTX_set_verify(site, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(site, accept_all, NULL);
        tls_pair(ours, site, &client, &server);
        assert_silent(client, server, client, (i & 4) != 0);
        assert_null(SSL_get0_peer_certificate(server));
        tls_close(client, server);
        SSL_CTX_free(ours);
        SSL_CTX_free(site);
    }
}

static void test_a_late_leaf(void **state)
{
    come_late(&world.friend);
}

static void test_a_late_stand_in(void **state)
{
    minted stand_in = mint_stand_in("consul:leaf/web");

    come_late(&stand_in);
    minted_free(&stand_in);
}

/* The same contexts talk to whom they may, and an SSL can be used again. */
static void test_friend(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *web = tls_ctx(tls_versions[v], &world.web),
                *friend = tls_ctx(tls_versions[v], &world.friend);
        SSL *client, *server;
        tls_outcome outcome;

        SSL_CTX_set_info_callback(web, go_on);
        SSL_CTX_set_info_callback(friend, go_on);
        tls_pair(friend, web, &client, &server);
        outcome = tls_talk(client, server);
        assert_talked("a friend", &outcome);
        tls_close(client, server);
        SSL_CTX_free(web);
        SSL_CTX_free(friend);
    }
}

/* ---- a security callback that is made of ours ---- */

static int (*ours)(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                   void *ex);
static int depth, deepest, wraps;

static int wrap(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other, void *ex)
{
    int answer = 1;

    if (++depth > deepest)
        deepest = depth;
    if (depth < 100)
        answer = ours(s, ctx, op, bits, nid, other, ex);
    depth--;
    return answer;
}

static void wrap_in_a_step(const SSL *s, int where, int value)
{
    SSL *ssl = (SSL *)s;

    if ((where & SSL_CB_LOOP) == 0 || SSL_get_security_callback(ssl) == wrap)
        return;
    ours = SSL_get_security_callback(ssl);
    SSL_set_security_callback(ssl, wrap);
    wraps++;
}

static void test_wrapped(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *web = tls_ctx(tls_versions[v], &world.web),
                *site = tls_ctx(tls_versions[v], &world.site),
                *friend = tls_ctx(tls_versions[v], &world.friend);
        tls_outcome outcome;

        wraps = deepest = 0;
        SSL_CTX_set_info_callback(web, wrap_in_a_step);
        outcome = tls_connect(friend, web);
        assert_talked("a friend", &outcome);
        assert_true(wraps > 1);
        assert_true(deepest >= 1 && deepest <= 2);
        SSL_CTX_set_cert_verify_callback(web, accept_all, NULL);
        outcome = tls_connect(site, web);
        assert_refused("a stranger", &outcome);
        SSL_CTX_free(web);
        SSL_CTX_free(site);
        SSL_CTX_free(friend);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_reset, tls_reset),
        cmocka_unit_test_setup(test_write_at_the_end, tls_reset),
        cmocka_unit_test_setup(test_without_a_signature, tls_reset),
        cmocka_unit_test_setup(test_before_1_2, tls_reset),
        cmocka_unit_test_setup(test_a_late_leaf, tls_reset),
        cmocka_unit_test_setup(test_a_late_stand_in, tls_reset),
        cmocka_unit_test_setup(test_friend, tls_reset),
        cmocka_unit_test_setup(test_wrapped, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
