/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Things that an application changes between the flights of a handshake, or between two handshakes of an SSL. The peer, without
 * the provider, tells which certificate was shown to it.
 */
#include "unit.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "hostile.h"
#include "tls.h"

static OSSL_LIB_CTX *elsewhere; /* of the peers */
static minted open_leaf;        /* of the service open, which has no denial */
static minted open_rsa;         /* likewise */
static minted stand_in;         /* of web */

static void talk_for_a_flight(SSL *client, SSL *server)
{
    SSL_do_handshake(client);
    SSL_do_handshake(server);
    ERR_clear_error();
}

/* ---- the certificate of a server ---- */

static SSL_CTX *open_ctx;

static void replace(SSL *ssl)
{
    assert_int_equal(SSL_use_certificate(ssl, open_leaf.cert), 1);
}

static void replace_with_key(SSL *ssl)
{
    replace(ssl);
    assert_int_equal(SSL_use_PrivateKey(ssl, open_leaf.key), 1);
}

static void select_other(SSL *ssl)
{
    assert_int_equal(SSL_set_current_cert(ssl, SSL_CERT_SET_FIRST), 1);
    assert_ptr_equal(SSL_get_certificate(ssl), open_rsa.cert);
}

static void switch_context(SSL *ssl)
{
    assert_non_null(SSL_set_SSL_CTX(ssl, open_ctx));
}

/* A server shows the leaf of web, which denies the client. It changes the leaf before the client's certificate comes. */
static void test_the_shown_leaf_decides(void **state)
{
    static const char *const denied[] = {"\"Target\":\"web\"", NULL};
    static const struct {
        const char *name;
        void (*change)(SSL *);
        const minted *own;
        bool has_two;
        unsigned int displaced;
    } rows[] = {
        {"replaced", replace, &world.web, false, 0},
        {"replaced with its key", replace_with_key, &world.web, false, 0},
        {"replaced, of a stand-in", replace_with_key, &stand_in, false, 0},
        {"another selected", select_other, &world.web, true, 0},
        {"another context", switch_context, &world.web, false, 0},
        {"replaced, security displaced", replace, &world.web, false, HOSTILE_SECURITY},
        {"another selected, three displaced", select_other, &world.web, true,
         HOSTILE_SECURITY | HOSTILE_MESSAGE | HOSTILE_CLIENT_HELLO},
    };
    size_t i, v;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (v = 0; v < 2; v++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], rows[i].own);
            SSL_CTX *client_ctx = tls_ctx_in(elsewhere, tls_versions[v], &world.friend);
            SSL *client, *server;
            tls_outcome outcome;
            X509 *shown;

            open_ctx = tls_ctx(tls_versions[v], &open_leaf);
            if (rows[i].has_two)
                tls_use(server_ctx, &open_rsa);
            hostile_displace(server_ctx, rows[i].displaced);
            assert_int_equal(SSL_CTX_set1_sigalgs_list(client_ctx, "ECDSA+SHA256"), 1);
            world.agent.denied = denied;
            tls_pair_with(client_ctx, server_ctx, elsewhere, true, &client, &server);
            talk_for_a_flight(client, server);
            rows[i].change(server);
            outcome = tls_talk(client, server);
            assert_refused(rows[i].name, &outcome);
            assert_contains(outcome.server_errors, "may not connect to \"web\"");
            shown = SSL_get1_peer_certificate(client);
            assert_int_equal(X509_cmp(shown, world.web.cert), 0);
            X509_free(shown);
            tls_close(client, server);
            SSL_CTX_free(open_ctx);
            SSL_CTX_free(client_ctx);
            SSL_CTX_free(server_ctx);
        }
    }
}

static SSL *serving;
static bool unguards; /* it displaces the security callback there, too */

static int replace_in_store(int ok, X509_STORE_CTX *ctx)
{
    if (unguards)
        SSL_set_security_callback(serving, hostile_security);
    SSL_use_certificate(serving, open_rsa.cert);
    if (unguards)
        SSL_use_PrivateKey(serving, open_rsa.key);
    return ok;
}

/* libssl verifies a server's own chain right before it asks about the certificate. Then another one would be noted. */
static void test_no_other_leaf_while_it_is_shown(void **state)
{
    static const unsigned int displaced[] = {0, HOSTILE_SECURITY, 0, HOSTILE_MESSAGE};
    static const char *const denied[] = {"\"Target\":\"web\"", NULL};
    size_t i, v;

    for (i = 0; i < sizeof(displaced) / sizeof(displaced[0]); i++) {
        for (v = 0; v < 2; v++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
            SSL_CTX *client_ctx = tls_ctx_in(elsewhere, tls_versions[v], &world.friend);
            SSL *client;
            tls_outcome outcome;

            unguards = i >= 2;
            world.agent.denied = unguards ? denied : NULL;
            X509_STORE_set_verify_cb(SSL_CTX_get_cert_store(server_ctx), replace_in_store);
            hostile_displace(server_ctx, displaced[i]);
            tls_pair_with(client_ctx, server_ctx, elsewhere, true, &client, &serving);
            outcome = tls_talk(client, serving);
            assert_refused("replaced while it is shown", &outcome);
            tls_close(client, serving);
            SSL_CTX_free(client_ctx);
            SSL_CTX_free(server_ctx);
        }
    }
}

/* A server shows an ordinary certificate, and has the leaf of web beside it. */
static void test_the_leaf_beside_decides(void **state)
{
    static const char *const denied[] = {"\"Target\":\"web\"", NULL};
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
        SSL_CTX *client_ctx = tls_ctx_in(elsewhere, tls_versions[v], &world.friend);
        SSL *client, *server;
        tls_outcome outcome;

        tls_use(server_ctx, &world.site_rsa);
        assert_int_equal(SSL_CTX_set1_sigalgs_list(client_ctx, "rsa_pss_rsae_sha256"), 1);
        assert_int_equal(SSL_CTX_set1_client_sigalgs_list(client_ctx, "ECDSA+SHA256"), 1);
        world.agent.denied = denied;
        tls_pair_with(client_ctx, server_ctx, elsewhere, true, &client, &server);
        talk_for_a_flight(client, server);
        replace_with_key(server);
        outcome = tls_talk(client, server);
        assert_refused("the leaf beside is replaced", &outcome);
        assert_contains(outcome.server_errors, "may not connect to \"web\"");
        tls_close(client, server);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
    }
}

static void replace_after_hello(const SSL *ssl, int where, int value)
{
    if ((where & SSL_CB_LOOP) != 0 && strcmp(SSL_state_string(ssl), "TWSH") == 0)
        replace_with_key((SSL *)ssl);
}

/* The same. It replaces the leaf before it shows the ordinary certificate. The client is denied by the new leaf's service. */
static void test_the_last_leaf_beside_decides(void **state)
{
    static const char *const denied[] = {"\"Target\":\"open\"", NULL};
    SSL_CTX *server_ctx = tls_ctx(TLS1_2_VERSION, &world.web);
    SSL_CTX *client_ctx = tls_ctx_in(elsewhere, TLS1_2_VERSION, &world.friend);
    SSL *client, *server;
    tls_outcome outcome;

    tls_use(server_ctx, &world.site_rsa);
    SSL_CTX_set_info_callback(server_ctx, replace_after_hello);
    assert_int_equal(SSL_CTX_set1_sigalgs_list(client_ctx, "rsa_pss_rsae_sha256"), 1);
    assert_int_equal(SSL_CTX_set1_client_sigalgs_list(client_ctx, "ECDSA+SHA256"), 1);
    world.agent.denied = denied;
    tls_pair_with(client_ctx, server_ctx, elsewhere, true, &client, &server);
    outcome = tls_talk(client, server);
    assert_refused("the leaf beside is replaced before", &outcome);
    assert_contains(outcome.server_errors, "may not connect to \"open\"");
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
}

/* ---- the name of a server ---- */

static void no_change(SSL *client)
{
}

static void ask_for_db(SSL *client)
{
    assert_int_equal(SSL_set1_host(client, "db.service.consul"), 1);
}

static void ask_for_site(SSL *client)
{
    assert_int_equal(SSL_set1_host(client, "www.example"), 1);
}

static void ask_for_nobody(SSL *client)
{
    assert_int_equal(SSL_set1_host(client, NULL), 1);
    assert_int_equal(SSL_set_tlsext_host_name(client, NULL), 1);
}

static void say_db(SSL *client)
{
    assert_int_equal(SSL_set_tlsext_host_name(client, "db.service.consul"), 1);
}

static void ask_for_friend(SSL *client)
{
    assert_int_equal(SSL_set1_host(client, "friend.service.consul"), 1);
}

/*
 * The name counts that is there when the server is verified, as with OpenSSL. A name that is taken back counts all the same. The
 * server is the friend.
 */
static void test_the_last_name_counts(void **state)
{
    static const struct {
        const char *name;
        void (*before)(SSL *), (*after)(SSL *);
        bool talks;
    } rows[] = {
        {"the friend", ask_for_friend, no_change, true},
        {"the friend, then another service", ask_for_friend, ask_for_db, false},
        {"the friend, then a site", ask_for_friend, ask_for_site, false},
        {"another service, then the friend", ask_for_db, ask_for_friend, true},
        {"another service, then nobody", ask_for_db, ask_for_nobody, false},
        {"another service by SNI, then nobody", say_db, ask_for_nobody, false},
        {"nobody, then another service", no_change, ask_for_db, false},
        {"nobody, then the friend", no_change, ask_for_friend, true},
    };
    const minted *own[] = {&world.web, NULL}; /* governed by its leaf, or by its server */
    size_t i, k, v;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (k = 0; k < 2; k++) {
            for (v = 0; v < 2; v++) {
                SSL_CTX *client_ctx = tls_ctx(tls_versions[v], own[k]);
                SSL_CTX *server_ctx = tls_ctx_in(elsewhere, tls_versions[v], &world.friend);
                SSL *client, *server;
                tls_outcome outcome;

                tls_pair_with(client_ctx, server_ctx, elsewhere, false, &client, &server);
                rows[i].before(client);
                SSL_do_handshake(client);
                ERR_clear_error();
                rows[i].after(client);
                outcome = tls_talk(client, server);
                if (rows[i].talks)
                    assert_talked(rows[i].name, &outcome);
                else
                    assert_refused(rows[i].name, &outcome);
                tls_close(client, server);
                SSL_CTX_free(client_ctx);
                SSL_CTX_free(server_ctx);
            }
        }
    }
}

/* A name of a service that is set late is no name of an ordinary server. */
static void test_a_late_name_governs(void **state)
{
    SSL_CTX *client_ctx = tls_ctx(TLS1_3_VERSION, NULL);
    SSL_CTX *server_ctx = tls_ctx_in(elsewhere, TLS1_3_VERSION, &world.site);
    SSL *client, *server;
    tls_outcome outcome;

    SSL_CTX_set_verify(client_ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_verify(server_ctx, SSL_VERIFY_NONE, NULL);
    tls_pair_with(client_ctx, server_ctx, elsewhere, false, &client, &server);
    SSL_do_handshake(client);
    ERR_clear_error();
    ask_for_friend(client);
    outcome = tls_talk(client, server);
    assert_refused("a site as a service", &outcome);
    assert_contains(outcome.client_errors, "not trusted by the Consul roots");
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
}

/* ---- the live leaf of a client ---- */

static void no_info(const SSL *ssl, int where, int value)
{
}

static int accept_chain(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static int accept_all(int ok, X509_STORE_CTX *ctx)
{
    return 1;
}

/*
 * Let a client of the configured service meet a member of the mesh. Then let the same SSL meet a site, which asks for a
 * certificate with an EC key. Return the outcome at the site, and the certificate that it was shown, or NULL.
 */
static tls_outcome meet_site(int version, unsigned int displaced, bool verifies,
                             const minted *added, X509 **shown)
{
    SSL_CTX *client_ctx = tls_ctx(version, NULL);
    SSL_CTX *mesh_ctx = tls_ctx_in(elsewhere, version, &world.friend);
    SSL_CTX *site_ctx = tls_ctx_in(elsewhere, version, &world.site);
    SSL *client, *server, *unused, *site;
    tls_outcome outcome;
    BIO *wire;

    hostile_displace(client_ctx, displaced);
    SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, accept_all);
    if (verifies)
        SSL_CTX_set_cert_verify_callback(client_ctx, accept_chain, NULL);
    SSL_CTX_set_verify(mesh_ctx, SSL_VERIFY_PEER, accept_all);
    SSL_CTX_set_verify(site_ctx, SSL_VERIFY_PEER, accept_all);
    assert_int_equal(SSL_CTX_set1_client_sigalgs_list(site_ctx, "ECDSA+SHA256"), 1);
    tls_pair_with(client_ctx, mesh_ctx, elsewhere, false, &client, &server);
    tls_pair_with(client_ctx, site_ctx, elsewhere, false, &unused, &site);
    outcome = tls_talk(client, server);
    assert_talked("a member of the mesh", &outcome);
    assert_non_null(SSL_get0_peer_certificate(server));
    SSL_shutdown(client);
    assert_int_equal(SSL_clear(client), 1);
    if (displaced == HOSTILE_ALL) /* our first turn comes late then */
        SSL_set_info_callback(client, no_info);
    if (added != NULL) {
        assert_int_equal(SSL_use_certificate(client, added->cert), 1);
        assert_int_equal(SSL_use_PrivateKey(client, added->key), 1);
    }
    wire = SSL_get_rbio(unused);
    BIO_up_ref(wire);
    SSL_set_bio(client, wire, wire);
    outcome = tls_talk(client, site);
    *shown = SSL_get1_peer_certificate(site);
    tls_close(client, site);
    SSL_free(unused);
    SSL_free(server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(mesh_ctx);
    SSL_CTX_free(site_ctx);
    return outcome;
}

static void test_a_site_sees_no_leaf(void **state)
{
    static const unsigned int displaced[] = {0, HOSTILE_SECURITY, HOSTILE_ALL};
    tls_outcome outcome;
    X509 *shown;
    size_t i, k, v;

    for (i = 0; i < sizeof(displaced) / sizeof(displaced[0]); i++) {
        for (v = 0; v < 2; v++) {
            for (k = 0; k < 2; k++) {
                outcome = meet_site(tls_versions[v], displaced[i], k == 1, NULL, &shown);
                assert_talked("a site", &outcome);
                assert_null(shown);
                /* The live leaf stays beside a certificate that the application adds. */
                meet_site(tls_versions[v], displaced[i], k == 1, &world.site_rsa, &shown);
                assert_true(shown == NULL || X509_cmp(shown, world.web.cert) != 0);
                X509_free(shown);
            }
        }
    }
}

static int set_up(void **state)
{
    int result = tls_set_up_as_web(state);

    elsewhere = OSSL_LIB_CTX_new();
    open_leaf = mint_leaf(&world.ca, TD, "open");
    open_rsa = mint(&world.ca, (mint_order){.rsa = true, .names = {{GEN_URI, SERVICE("open"), 0}}});
    stand_in = mint_stand_in("consul:leaf/web");
    return elsewhere == NULL ? -1 : result;
}

static int tear_down(void **state)
{
    minted_free(&open_leaf);
    minted_free(&open_rsa);
    minted_free(&stand_in);
    OSSL_LIB_CTX_free(elsewhere);
    return tls_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_shown_leaf_decides, tls_reset),
        cmocka_unit_test_setup(test_no_other_leaf_while_it_is_shown, tls_reset),
        cmocka_unit_test_setup(test_the_leaf_beside_decides, tls_reset),
        cmocka_unit_test_setup(test_the_last_leaf_beside_decides, tls_reset),
        cmocka_unit_test_setup(test_the_last_name_counts, tls_reset),
        cmocka_unit_test_setup(test_a_late_name_governs, tls_reset),
        cmocka_unit_test_setup(test_a_site_sees_no_leaf, tls_reset),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
