/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates that change: by SNI, by cert_cb, several at once, and SSLs that are used again. */
#include "unit.h"

#include <openssl/err.h>

#include <openssl/x509v3.h>

#include "hostile.h"
#include "tls.h"

static SSL_CTX *other_ctx; /* where the SNI callback switches to */

static int switch_ctx(SSL *ssl, int *alert, void *arg)
{
    SSL_set_SSL_CTX(ssl, other_ctx);
    return SSL_TLSEXT_ERR_OK;
}

/* Connect to a server that begins with `first` and by SNI goes on with `second`. */
static tls_outcome serve_switched(int version, const minted *client_cert, const minted *first,
                                  const minted *second)
{
    SSL_CTX *server_ctx = tls_ctx(version, first), *client_ctx = tls_ctx(version, client_cert);
    SSL *client, *server;
    tls_outcome outcome;

    other_ctx = tls_ctx(version, second);
    SSL_CTX_set_tlsext_servername_callback(server_ctx, switch_ctx);
    tls_pair(client_ctx, server_ctx, &client, &server);
    SSL_set_tlsext_host_name(client, "somewhere.example");
    outcome = tls_talk(client, server);
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(other_ctx);
    return outcome;
}

static void test_sni(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        int version = tls_versions[v];
        tls_outcome outcome = serve_switched(version, NULL, &world.site, &world.site);

        assert_talked("ordinary to ordinary", &outcome);
        outcome = serve_switched(version, NULL, &world.site, &world.web);
        assert_refused("ordinary to Connect, no certificate", &outcome);
        outcome = serve_switched(version, &world.stranger, &world.site, &world.web);
        assert_refused("ordinary to Connect, a stranger", &outcome);
        outcome = serve_switched(version, &world.friend, &world.site, &world.web);
        assert_talked("ordinary to Connect, a friend", &outcome);
        outcome = serve_switched(version, NULL, NULL, &world.web);
        assert_refused("none to Connect, no certificate", &outcome);
        outcome = serve_switched(version, NULL, &world.web, &world.web);
        assert_refused("Connect to Connect, no certificate", &outcome);
        outcome = serve_switched(version, &world.friend, &world.web, &world.web);
        assert_talked("Connect to Connect, a friend", &outcome);
        /* Once governed, always governed, with any certificate in the end. */
        outcome = serve_switched(version, NULL, &world.web, &world.site);
        assert_refused("Connect to ordinary, no certificate", &outcome);
    }
}

/* The question is about the service of the presented leaf. */
static void test_sni_target(void **state)
{
    minted db = mint_leaf(&world.ca, TD, "db");
    size_t v;

    for (v = 0; v < 2; v++) {
        tls_outcome outcome = serve_switched(tls_versions[v], &world.friend, &world.web, &db);

        assert_talked("from web to db", &outcome);
        assert_contains(world.agent.last_question, "\"Target\":\"db\"");
    }
    minted_free(&db);
}

/* ---- by cert_cb ---- */

static int use_web(SSL *ssl, void *arg)
{
    return SSL_use_certificate(ssl, world.web.cert) == 1
           && SSL_use_PrivateKey(ssl, world.web.key) == 1;
}

static int use_web_and_ask_nobody(SSL *ssl, void *arg)
{
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    return use_web(ssl, arg);
}

static void test_cert_cb(void **state)
{
    static int (*const callbacks[])(SSL *, void *) = {use_web, use_web_and_ask_nobody};
    size_t i, v;

    for (i = 0; i < 2; i++) {
        for (v = 0; v < 2; v++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.site);
            SSL_CTX *nobody = tls_ctx(tls_versions[v], NULL);
            SSL_CTX *friend = tls_ctx(tls_versions[v], &world.friend);
            tls_outcome outcome;

            SSL_CTX_set_cert_cb(server_ctx, callbacks[i], NULL);
            outcome = tls_connect(nobody, server_ctx);
            assert_refused("leaf by cert_cb, no certificate", &outcome);
            outcome = tls_connect(friend, server_ctx);
            assert_talked("leaf by cert_cb, a friend", &outcome);
            SSL_CTX_free(server_ctx);
            SSL_CTX_free(nobody);
            SSL_CTX_free(friend);
        }
    }
}

/* ---- several certificates ---- */

/* Make a context with an ordinary RSA certificate beside the leaf, loaded first or last. */
static SSL_CTX *two_certificates(int version, bool leaf_first)
{
    SSL_CTX *ctx = tls_ctx(version, leaf_first ? &world.web : &world.site_rsa);

    tls_use(ctx, leaf_first ? &world.site_rsa : &world.web);
    return ctx;
}

/* Make a client that wants that RSA certificate, or the leaf. */
static SSL_CTX *choosy_client(int version, const minted *own, bool wants_rsa)
{
    SSL_CTX *ctx = tls_ctx(version, own);

    assert_true(SSL_CTX_set1_sigalgs_list(ctx, wants_rsa ? "rsa_pss_rsae_sha256:RSA+SHA256"
                                                         : "ECDSA+SHA256"));
    return ctx;
}

static void test_two_certificates(void **state)
{
    size_t v, order, wish;

    for (v = 0; v < 2; v++) {
        for (order = 0; order < 2; order++) {
            for (wish = 0; wish < 2; wish++) {
                SSL_CTX *server_ctx = two_certificates(tls_versions[v], order == 1);
                SSL_CTX *client_ctx = choosy_client(tls_versions[v], NULL, wish == 1);
                tls_outcome outcome = tls_connect(client_ctx, server_ctx);

                assert_refused("two certificates, none of the client's", &outcome);
                assert_contains(outcome.server_errors, "peer did not return a certificate");
                SSL_CTX_free(server_ctx);
                SSL_CTX_free(client_ctx);
            }
        }
    }
}

static void test_two_certificates_and_a_friend(void **state)
{
    size_t v, order;

    for (v = 0; v < 2; v++) {
        for (order = 0; order < 2; order++) {
            SSL_CTX *server_ctx = two_certificates(tls_versions[v], order == 1);
            SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.friend);
            tls_outcome outcome;

            /* for the server's certificate; the client can sign with its own key all the same */
            assert_true(SSL_CTX_set1_sigalgs_list(client_ctx, "ECDSA+SHA256"));
            outcome = tls_connect(client_ctx, server_ctx);
            assert_talked("two certificates and a friend", &outcome);
            SSL_CTX_free(server_ctx);
            SSL_CTX_free(client_ctx);
        }
    }
}

/* Give the leaf beside the current certificate, which stays the current one. */
static int use_web_beside(SSL *ssl, int *alert, void *arg)
{
    X509 *current = SSL_get_certificate(ssl);

    return use_web(ssl, arg) && SSL_select_current_cert(ssl, current) == 1
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Without the security callback no call tells of the leaf, and one of the others finds it. */
static void test_a_leaf_beside_the_current_one(void **state)
{
    static const unsigned int displaced[] = {
        0,
        HOSTILE_SECURITY,
        HOSTILE_SECURITY | HOSTILE_CLIENT_HELLO,
        HOSTILE_SECURITY | HOSTILE_MESSAGE | HOSTILE_CLIENT_HELLO,
        HOSTILE_SECURITY | HOSTILE_NOT_RESUMABLE | HOSTILE_CLIENT_HELLO,
        HOSTILE_SECURITY | HOSTILE_NOT_RESUMABLE | HOSTILE_MESSAGE};
    size_t v, wish, i;

    for (v = 0; v < 2; v++) {
        for (wish = 0; wish < 2; wish++) {
            for (i = 0; i < sizeof(displaced) / sizeof(displaced[0]); i++) {
                SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.site_rsa);
                SSL_CTX *client_ctx = choosy_client(tls_versions[v], NULL, wish == 1);
                SSL_CTX *friend_ctx = choosy_client(tls_versions[v], NULL, false);
                tls_outcome outcome;

                tls_use(friend_ctx, &world.friend);
                SSL_CTX_set_tlsext_servername_callback(server_ctx, use_web_beside);
                hostile_displace(server_ctx, displaced[i]);
                outcome = tls_connect(client_ctx, server_ctx);
                assert_refused("a leaf beside, none of the client's", &outcome);
                outcome = tls_connect(friend_ctx, server_ctx);
                if ((displaced[i] & HOSTILE_NOT_RESUMABLE)
                    == 0) /* else it comes too late for him */
                    assert_talked("a leaf beside, and a friend", &outcome);
                SSL_CTX_free(server_ctx);
                SSL_CTX_free(client_ctx);
                SSL_CTX_free(friend_ctx);
            }
        }
    }
}

/* The key of a stand-in may be of another type than the leaf's. The cipher has to fit the leaf. */
static void test_a_stand_in_of_another_type(void **state)
{
    minted stand_in =
        mint(NULL, (mint_order){.rsa = true, .names = {{GEN_URI, "consul:leaf/web", 0}}});
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &stand_in);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.friend);
        tls_outcome outcome = tls_connect(client_ctx, server_ctx);

        assert_talked("an RSA stand-in", &outcome);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
    minted_free(&stand_in);
}

/* ---- SSLs that are used again ---- */

static void connect_again(SSL *client, SSL *server)
{
    BIO *client_bio, *server_bio;

    assert_true(BIO_new_bio_pair(&client_bio, 1 << 16, &server_bio, 1 << 16));
    SSL_set_bio(client, client_bio, client_bio);
    SSL_set_bio(server, server_bio, server_bio);
}

static void test_clear(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
        SSL_CTX *friend_ctx = tls_ctx(tls_versions[v], &world.friend);
        SSL_CTX *nobody_ctx = tls_ctx(tls_versions[v], NULL);
        SSL *friend, *nobody = SSL_new(nobody_ctx), *server;
        tls_outcome outcome;

        tls_pair(friend_ctx, server_ctx, &friend, &server);
        outcome = tls_talk(friend, server);
        assert_talked("a friend", &outcome);
        assert_true(SSL_clear(server));
        SSL_set_connect_state(nobody);
        connect_again(nobody, server);
        outcome = tls_talk(nobody, server);
        assert_refused("no certificate, on a friend's SSL", &outcome);
        /* and back */
        assert_true(SSL_clear(server));
        assert_true(SSL_clear(friend));
        connect_again(friend, server);
        outcome = tls_talk(friend, server);
        assert_talked("a friend again", &outcome);
        assert_int_equal(world.agent.questions, 2 * (int)(v + 1));
        tls_close(friend, server);
        SSL_free(nobody);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(friend_ctx);
        SSL_CTX_free(nobody_ctx);
    }
}

/* An SSL that was ordinary, and is given a leaf for its next connection. */
static void test_clear_and_leaf(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.site);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], NULL);
        SSL *client, *server;
        tls_outcome outcome;

        tls_pair(client_ctx, server_ctx, &client, &server);
        outcome = tls_talk(client, server);
        assert_talked("ordinary", &outcome);
        assert_true(SSL_clear(server));
        assert_true(SSL_clear(client));
        assert_true(use_web(server, NULL));
        connect_again(client, server);
        outcome = tls_talk(client, server);
        assert_refused("an ordinary SSL with a leaf by now", &outcome);
        tls_close(client, server);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
}

/* Make a client of another library context, with a session to offer. */
static SSL *new_client(SSL_CTX *ctx, OSSL_LIB_CTX *elsewhere, SSL_SESSION *session)
{
    OSSL_LIB_CTX *usual = OSSL_LIB_CTX_set0_default(elsewhere);
    SSL *client = SSL_new(ctx);

    OSSL_LIB_CTX_set0_default(usual);
    assert_non_null(client);
    SSL_set_connect_state(client);
    if (session != NULL)
        assert_int_equal(SSL_set_session(client, session), 1);
    return client;
}

/* The leaf is not the current certificate. Its SSL has as many as before. Its earlier session is not resumed. */
static void test_clear_and_leaf_beside(void **state)
{
    minted leaf =
        mint(&world.ca, (mint_order){.rsa = true, .names = {{GEN_URI, SERVICE("web"), 0}}});
    size_t v;

    for (v = 0; v < 2; v++) {
        OSSL_LIB_CTX *elsewhere;
        SSL_CTX *client_ctx = tls_ctx_elsewhere(tls_versions[v], NULL, &elsewhere);
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.site_rsa);
        SSL *client = new_client(client_ctx, elsewhere, NULL), *server;
        SSL_SESSION *session;
        tls_outcome outcome;

        tls_use(server_ctx, &world.site);
        server = SSL_new(server_ctx);
        SSL_set_accept_state(server);
        connect_again(client, server);
        outcome = tls_talk(client, server);
        assert_talked("ordinary", &outcome);
        session = SSL_get1_session(client);
        SSL_free(client);
        assert_true(SSL_clear(server));
        assert_int_equal(SSL_use_certificate(server, leaf.cert), 1);
        assert_int_equal(SSL_use_PrivateKey(server, leaf.key), 1);
        assert_int_equal(SSL_select_current_cert(server, world.site.cert), 1);
        client = new_client(client_ctx, elsewhere, session);
        connect_again(client, server);
        outcome = tls_talk(client, server);
        assert_refused("a session of before the leaf", &outcome);
        SSL_SESSION_free(session);
        SSL_free(client);
        SSL_free(server);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
        OSSL_LIB_CTX_free(elsewhere);
    }
    minted_free(&leaf);
}

static void test_dup(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
        SSL_CTX *nobody_ctx = tls_ctx(tls_versions[v], NULL);
        SSL_CTX *friend_ctx = tls_ctx(tls_versions[v], &world.friend);
        SSL *client, *server, *copy;
        tls_outcome outcome;

        tls_pair(nobody_ctx, server_ctx, &client, &server);
        copy = SSL_dup(server);
        assert_non_null(copy);
        SSL_set_accept_state(copy);
        connect_again(client, copy);
        outcome = tls_talk(client, copy);
        assert_refused("a copy, no certificate", &outcome);
        tls_close(client, copy);
        SSL_free(server);

        tls_pair(friend_ctx, server_ctx, &client, &server);
        copy = SSL_dup(server);
        SSL_set_accept_state(copy);
        connect_again(client, copy);
        outcome = tls_talk(client, copy);
        assert_talked("a copy and a friend", &outcome);
        tls_close(client, copy);
        SSL_free(server);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(nobody_ctx);
        SSL_CTX_free(friend_ctx);
    }
}

/* ---- a second handshake in one connection ---- */

static void test_renegotiation(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_2_VERSION, &world.web);
    SSL_CTX *client_ctx = tls_ctx(TLS1_2_VERSION, &world.friend);
    SSL *client, *server;
    tls_outcome outcome;

    tls_pair(client_ctx, server_ctx, &client, &server);
    outcome = tls_talk(client, server);
    assert_talked("a friend", &outcome);
    SSL_clear_options(client, SSL_OP_NO_RENEGOTIATION);
    if (SSL_renegotiate(client))
        tls_talk(client, server);
    assert_int_equal(SSL_num_renegotiations(server), 0);
    assert_int_equal(world.agent.questions, 1);
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
}

static int greet(SSL *ssl, int *alert, void *arg)
{
    return SSL_CLIENT_HELLO_SUCCESS;
}

static void see_message(int write_p, int version, int content_type, const void *buf, size_t len,
                        SSL *ssl, void *arg)
{
}

static int name_is_known(SSL *ssl, int *alert, void *arg)
{
    return SSL_TLSEXT_ERR_OK;
}

/* Let both sides read and write as they have to. */
static void exchange(SSL *client, SSL *server)
{
    char byte;
    int i;

    for (i = 0; i < 10; i++) {
        SSL_read(client, &byte, 1);
        SSL_read(server, &byte, 1);
    }
    ERR_clear_error();
}

/*
 * An ordinary connection is asked for a second handshake, and becomes Connect before that begins. The
 * session of the first one proves nothing. With our callbacks for messages displaced, only the
 * security callback for versions tells of it.
 */
static void test_renegotiation_as_connect(void **state)
{
    SSL_CTX *first = tls_ctx(TLS1_2_VERSION, &world.site);
    SSL_CTX *second = tls_ctx(TLS1_2_VERSION, &world.web);
    SSL_CTX *client_ctx = tls_ctx(TLS1_2_VERSION, NULL);
    SSL *client, *server;
    tls_outcome outcome;

    SSL_CTX_set_client_hello_cb(first, greet, NULL);
    SSL_CTX_set_msg_callback(first, see_message);
    SSL_CTX_set_client_hello_cb(second, greet, NULL);
    SSL_CTX_set_tlsext_servername_callback(second, name_is_known);
    SSL_CTX_set_options(first, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    tls_pair(client_ctx, first, &client, &server);
    SSL_set_tlsext_host_name(client, "somewhere.example");
    outcome = tls_talk(client, server);
    assert_talked("ordinary", &outcome);
    assert_int_equal(SSL_renegotiate_abbreviated(server), 1);
    SSL_do_handshake(server);
    SSL_set_SSL_CTX(server, second);
    exchange(client, server);
    assert_int_equal(SSL_get_verify_mode(server),
                     SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    assert_false(SSL_session_reused(server));
    assert_false(SSL_is_init_finished(server) && SSL_get_shutdown(server) == 0);
    tls_close(client, server);
    SSL_CTX_free(first);
    SSL_CTX_free(second);
    SSL_CTX_free(client_ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sni, tls_reset),
        cmocka_unit_test_setup(test_sni_target, tls_reset),
        cmocka_unit_test_setup(test_cert_cb, tls_reset),
        cmocka_unit_test_setup(test_two_certificates, tls_reset),
        cmocka_unit_test_setup(test_two_certificates_and_a_friend, tls_reset),
        cmocka_unit_test_setup(test_a_leaf_beside_the_current_one, tls_reset),
        cmocka_unit_test_setup(test_a_stand_in_of_another_type, tls_reset),
        cmocka_unit_test_setup(test_clear, tls_reset),
        cmocka_unit_test_setup(test_clear_and_leaf, tls_reset),
        cmocka_unit_test_setup(test_clear_and_leaf_beside, tls_reset),
        cmocka_unit_test_setup(test_dup, tls_reset),
        cmocka_unit_test_setup(test_renegotiation, tls_reset),
        cmocka_unit_test_setup(test_renegotiation_as_connect, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
