/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of the same process that is not Consul's business: it is as it was without us. */
#include "unit.h"

#include <openssl/err.h>

#include "hostile.h"
#include "tls.h"

static void assert_nothing_was_asked(void)
{
    assert_int_equal(http_server_requests(world.agent.server), 0);
}

static void test_servers_and_clients(void **state)
{
    const minted *const servers[] = {&world.site, &world.site_rsa};
    size_t i, v;

    for (i = 0; i < 2; i++) {
        for (v = 0; v < 2; v++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], servers[i]);
            SSL_CTX *client_ctx = tls_ctx(tls_versions[v], NULL);
            tls_outcome outcome = tls_connect(client_ctx, server_ctx);

            assert_talked("ordinary", &outcome);
            assert_string_equal(outcome.client_errors, "");
            assert_string_equal(outcome.server_errors, "");
            assert_int_equal(SSL_CTX_get_verify_mode(server_ctx), SSL_VERIFY_NONE);
            assert_int_equal(SSL_CTX_get_verify_mode(client_ctx), SSL_VERIFY_NONE);
            SSL_CTX_free(server_ctx);
            SSL_CTX_free(client_ctx);
        }
    }
    assert_nothing_was_asked();
}

/* The last certificate counts: not a leaf that was replaced before the handshake, or not taken. */
static void test_a_leaf_that_did_not_stay(void **state)
{
    minted stand_in = mint_stand_in("consul:leaf/web");
    const minted *const first[] = {&world.web, &stand_in};
    size_t i;

    for (i = 0; i < 2 * 2 * 2; i++) {
        int version = tls_versions[i / 4], is_taken = i / 2 % 2;
        SSL_CTX *server_ctx = tls_ctx(version, NULL), *client_ctx = tls_ctx(version, NULL);
        SSL *client, *server;
        tls_outcome outcome;

        tls_pair(client_ctx, server_ctx, &client, &server);
        SSL_set_security_level(server, is_taken ? 1 : 4); /* 4 has no P-256 */
        assert_int_equal(SSL_use_certificate(server, first[i % 2]->cert), is_taken);
        SSL_set_security_level(server, 1);
        assert_int_equal(SSL_use_certificate(server, world.site.cert), 1);
        assert_int_equal(SSL_use_PrivateKey(server, world.site.key), 1);
        ERR_clear_error();
        outcome = tls_talk(client, server);
        assert_talked("ordinary in the end", &outcome);
        tls_close(client, server);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
    assert_nothing_was_asked();
    minted_free(&stand_in);
}

/* The security callback of the application stands with the certificates, which another SSL may share. Ours is before it then. */
static void test_shared_certificates(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.site);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], NULL);
        SSL *clients[2], *servers[2];
        tls_outcome outcome;

        tls_pair(client_ctx, server_ctx, &clients[0], &servers[0]);
        tls_pair(client_ctx, server_ctx, &clients[1], &servers[1]);
        SSL_set_security_callback(servers[0], hostile_security);
        outcome = tls_talk(clients[0], servers[0]);
        assert_talked("the first", &outcome);
        assert_int_equal(SSL_copy_session_id(servers[1], servers[0]), 1);
        assert_int_equal(SSL_use_certificate(servers[1], world.site_rsa.cert), 1);
        assert_int_equal(SSL_use_PrivateKey(servers[1], world.site_rsa.key), 1);
        outcome = tls_talk(clients[1], servers[1]);
        assert_talked("the second", &outcome);
        tls_close(clients[0], servers[0]);
        tls_close(clients[1], servers[1]);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
    assert_nothing_was_asked();
}

/* ---- verification by the application's own rules ---- */

static tls_outcome verify(int version, const minted *server, const minted *trusted, int mode,
                          SSL_verify_cb callback, long *result)
{
    SSL_CTX *server_ctx = tls_ctx(version, server), *client_ctx = tls_ctx(version, NULL);
    SSL *client, *server_ssl;
    tls_outcome outcome;

    SSL_CTX_set_verify(client_ctx, mode, callback);
    if (trusted != NULL)
        assert_true(X509_STORE_add_cert(SSL_CTX_get_cert_store(client_ctx), trusted->cert));
    tls_pair(client_ctx, server_ctx, &client, &server_ssl);
    outcome = tls_talk(client, server_ssl);
    *result = SSL_get_verify_result(client);
    tls_close(client, server_ssl);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

static int calls, last_error, last_ok;

static int note_and_accept(int ok, X509_STORE_CTX *ctx)
{
    calls++;
    last_ok = ok;
    last_error = X509_STORE_CTX_get_error(ctx);
    return 1;
}

static int refuse_all(int ok, X509_STORE_CTX *ctx)
{
    X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static void test_verification(void **state)
{
    size_t v;
    long result;

    for (v = 0; v < 2; v++) {
        int version = tls_versions[v];
        tls_outcome outcome =
            verify(version, &world.site, &world.site, SSL_VERIFY_PEER, NULL, &result);

        assert_talked("trusted", &outcome);
        assert_int_equal(result, X509_V_OK);
        outcome = verify(version, &world.site, NULL, SSL_VERIFY_PEER, NULL, &result);
        assert_refused("not trusted", &outcome);
        assert_contains(outcome.client_errors, "certificate verify failed");
        assert_lacks(outcome.client_errors, "Consul");
        assert_int_equal(result, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
        outcome = verify(version, &world.site, NULL, SSL_VERIFY_NONE, NULL, &result);
        assert_talked("not verified", &outcome);
        assert_int_equal(result, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
        calls = 0;
        outcome = verify(version, &world.site, NULL, SSL_VERIFY_PEER, note_and_accept, &result);
        assert_talked("accepted by the callback", &outcome);
        assert_true(calls >= 1);
        outcome = verify(version, &world.site, &world.site, SSL_VERIFY_PEER, refuse_all, &result);
        assert_refused("refused by the callback", &outcome);
        assert_int_equal(result, X509_V_ERR_APPLICATION_VERIFICATION);
    }
    assert_nothing_was_asked();
}

/* Certificates of the mesh prove nothing to an application that trusts another CA alone. */
static void test_leaf_to_an_ordinary_client(void **state)
{
    size_t v;
    long result;

    for (v = 0; v < 2; v++) {
        tls_outcome outcome =
            verify(tls_versions[v], &world.web, &world.site, SSL_VERIFY_PEER, NULL, &result);

        assert_refused("a leaf that is not trusted", &outcome);
        assert_int_not_equal(result, X509_V_OK);
    }
}

static int verify_calls;

static int verify_itself(X509_STORE_CTX *ctx, void *arg)
{
    verify_calls++;
    assert_ptr_equal(arg, &verify_calls);
    return 1;
}

static void test_cert_verify_callback(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.site);
    SSL_CTX *client_ctx = tls_ctx(TLS1_3_VERSION, NULL);
    tls_outcome outcome;

    verify_calls = 0;
    SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(client_ctx, verify_itself, &verify_calls);
    outcome = tls_connect(client_ctx, server_ctx);
    assert_talked("verified by the application", &outcome);
    assert_int_equal(verify_calls, 1);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    assert_nothing_was_asked();
}

/* ---- client certificates ---- */

static void test_client_certificates(void **state)
{
    minted own_ca = mint(NULL, (mint_order){.subject = "own CA", .ca = true});
    minted member = mint(&own_ca, (mint_order){.subject = "member"});
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.site);
        SSL_CTX *clients[] = {tls_ctx(tls_versions[v], &member),
                              tls_ctx(tls_versions[v], &world.site_rsa),
                              tls_ctx(tls_versions[v], NULL)};
        tls_outcome outcome;

        SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        assert_true(X509_STORE_add_cert(SSL_CTX_get_cert_store(server_ctx), own_ca.cert));
        outcome = tls_connect(clients[0], server_ctx);
        assert_talked("a member", &outcome);
        outcome = tls_connect(clients[1], server_ctx);
        assert_refused("a stranger", &outcome);
        outcome = tls_connect(clients[2], server_ctx);
        assert_refused("no certificate", &outcome);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(clients[0]);
        SSL_CTX_free(clients[1]);
        SSL_CTX_free(clients[2]);
    }
    minted_free(&member);
    minted_free(&own_ca);
    assert_nothing_was_asked();
}

static void test_post_handshake_authentication(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.site);
    SSL_CTX *client_ctx = tls_ctx(TLS1_3_VERSION, &world.site_rsa);
    SSL *client, *server;
    tls_outcome outcome;

    SSL_CTX_set_post_handshake_auth(client_ctx, 1);
    SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_POST_HANDSHAKE, note_and_accept);
    tls_pair(client_ctx, server_ctx, &client, &server);
    outcome = tls_talk(client, server);
    assert_talked("before", &outcome);
    assert_null(SSL_get0_peer_certificate(server));
    assert_true(SSL_verify_client_post_handshake(server));
    outcome = tls_talk(client, server);
    assert_talked("after", &outcome);
    assert_non_null(SSL_get0_peer_certificate(server));
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    assert_nothing_was_asked();
}

/* ---- sessions ---- */

static void test_resumption(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.site);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], NULL);
        SSL *client, *server;
        SSL_SESSION *session;
        tls_outcome outcome;

        tls_pair(client_ctx, server_ctx, &client, &server);
        outcome = tls_talk(client, server);
        assert_talked("first", &outcome);
        assert_false(outcome.reused);
        session = SSL_get1_session(client);
        tls_close(client, server);
        tls_pair(client_ctx, server_ctx, &client, &server);
        SSL_set_session(client, session);
        outcome = tls_talk(client, server);
        assert_talked("second", &outcome);
        assert_true(outcome.reused);
        tls_close(client, server);
        SSL_SESSION_free(session);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
    assert_nothing_was_asked();
}

/* One application serves both, in turn: neither rubs off on the other. */
static void test_side_by_side(void **state)
{
    size_t v;
    int round;

    for (v = 0; v < 2; v++) {
        SSL_CTX *mesh_ctx = tls_ctx(tls_versions[v], &world.web);
        SSL_CTX *site_ctx = tls_ctx(tls_versions[v], &world.site);
        SSL_CTX *friend = tls_ctx(tls_versions[v], &world.friend);
        SSL_CTX *nobody = tls_ctx(tls_versions[v], NULL);

        for (round = 0; round < 3; round++) {
            tls_outcome outcome = tls_connect(nobody, site_ctx);

            assert_talked("the site", &outcome);
            outcome = tls_connect(nobody, mesh_ctx);
            assert_refused("the mesh", &outcome);
            outcome = tls_connect(friend, mesh_ctx);
            assert_talked("the mesh, a friend", &outcome);
            outcome = tls_connect(friend, site_ctx);
            assert_refused("the site, a friend", &outcome);
        }
        SSL_CTX_free(mesh_ctx);
        SSL_CTX_free(site_ctx);
        SSL_CTX_free(friend);
        SSL_CTX_free(nobody);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_servers_and_clients, tls_reset),
        cmocka_unit_test_setup(test_a_leaf_that_did_not_stay, tls_reset),
        cmocka_unit_test_setup(test_shared_certificates, tls_reset),
        cmocka_unit_test_setup(test_verification, tls_reset),
        cmocka_unit_test_setup(test_cert_verify_callback, tls_reset),
        cmocka_unit_test_setup(test_client_certificates, tls_reset),
        cmocka_unit_test_setup(test_post_handshake_authentication, tls_reset),
        cmocka_unit_test_setup(test_resumption, tls_reset),
        /* the last two ask the agent */
        cmocka_unit_test_setup(test_leaf_to_an_ordinary_client, tls_reset),
        cmocka_unit_test_setup(test_side_by_side, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
