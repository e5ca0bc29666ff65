/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An SSL that is used again, with some of our callbacks displaced. The knowledge of one handshake
 * dies with it, and proves nothing of the next.
 */
#include "unit.h"

#include <string.h>

#include "hostile.h"
#include "tls.h"

/* New BIOs, and the same SSLs as before. */
static tls_outcome meet(SSL *client, SSL *server, bool at_once)
{
    BIO *client_bio, *server_bio;

    assert_true(SSL_clear(client));
    assert_true(SSL_clear(server));
    assert_true(BIO_new_bio_pair(&client_bio, 1 << 16, &server_bio, 1 << 16));
    SSL_set_bio(client, client_bio, client_bio);
    SSL_set_bio(server, server_bio, server_bio);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    return at_once ? tls_talk_at_once(client, server) : tls_talk(client, server);
}

/* ---- a client ---- */

/*
 * An application that demands no verification finds its mode again after the handshake. Ncat looks there, and compares the host
 * name by itself where it sees a demand. The next handshake demands again, and so does another application.
 */
static void test_the_mode_after_a_handshake(void **state)
{
    static const int modes[] = {SSL_VERIFY_NONE, SSL_VERIFY_PEER};
    size_t i;

    fake_agent_set_leaf(&world.agent, &world.web);
    for (i = 0; i < 4; i++) {
        OSSL_LIB_CTX *elsewhere;
        SSL_CTX *friend_ctx = tls_ctx_elsewhere(tls_versions[i % 2], &world.friend, &elsewhere);
        SSL_CTX *stranger_ctx = tls_ctx_in(elsewhere, tls_versions[i % 2], &world.stranger);
        SSL_CTX *ctx = tls_ctx(tls_versions[i % 2], NULL);
        SSL *client, *friend = SSL_new(friend_ctx), *stranger = SSL_new(stranger_ctx);
        tls_outcome outcome;
        int round;

        SSL_CTX_set_verify(ctx, modes[i / 2], NULL);
        client = SSL_new(ctx);
        assert_true(SSL_set_tlsext_host_name(client, "friend.service.consul"));
        for (round = 0; round < 2; round++) {
            outcome =
                meet(client, friend, round == 1); /* it has read a ticket of TLS 1.3 by then */
            assert_talked("the service", &outcome);
            assert_int_equal(SSL_get_verify_mode(client) & SSL_VERIFY_PEER, modes[i / 2]);
            outcome = meet(client, stranger, round == 1);
            assert_refused("an impostor", &outcome);
        }
        SSL_free(client);
        SSL_free(friend);
        SSL_free(stranger);
        SSL_CTX_free(ctx);
        SSL_CTX_free(friend_ctx);
        SSL_CTX_free(stranger_ctx);
        OSSL_LIB_CTX_free(elsewhere);
    }
}

/* First a site with a certificate that the application judges, and then a name of Consul's. */
static void test_clients(void **state)
{
    unsigned int displaced;
    OSSL_LIB_CTX *libctx;
    size_t v;

    for (v = 0; v < 2; v++) {
        for (displaced = 0; displaced <= HOSTILE_ALL; displaced++) {
            SSL_CTX *site = tls_ctx_elsewhere(tls_versions[v], &world.site, &libctx);
            SSL_CTX *ctx = tls_ctx(tls_versions[v], NULL);
            SSL *client, *server = SSL_new(site);
            tls_outcome outcome;

            hostile_displace(ctx, displaced);
            client = SSL_new(ctx);
            outcome = meet(client, server, false);
            assert_talked("a site", &outcome);
            assert_true(SSL_set_tlsext_host_name(client, "db.service.consul"));
            outcome = meet(client, server, displaced % 2 == 1);
            assert_refused("the site in a service's place", &outcome);
            tls_close(client, server);
            SSL_CTX_free(ctx);
            SSL_CTX_free(site);
            OSSL_LIB_CTX_free(libctx);
        }
    }
}

/* First a service by its name, and then any service of the mesh. */
static void test_another_name(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        OSSL_LIB_CTX *elsewhere;
        SSL_CTX *friend_ctx = tls_ctx_elsewhere(tls_versions[v], &world.friend, &elsewhere);
        SSL_CTX *ctx = tls_ctx(tls_versions[v], NULL);
        SSL *client = SSL_new(ctx), *friend = SSL_new(friend_ctx);
        tls_outcome outcome;

        assert_true(SSL_set_tlsext_host_name(client, "friend.service.consul"));
        outcome = meet(client, friend, false);
        assert_talked("the service of that name", &outcome);
        assert_true(SSL_set_tlsext_host_name(client, "web.service.consul"));
        outcome = meet(client, friend, false);
        assert_refused("another service", &outcome);
        assert_true(SSL_set_tlsext_host_name(client, NULL));
        outcome = meet(client, friend, false);
        assert_talked("any service", &outcome);
        tls_close(client, friend);
        SSL_CTX_free(ctx);
        SSL_CTX_free(friend_ctx);
        OSSL_LIB_CTX_free(elsewhere);
    }
}

static int accept_any(int ok, X509_STORE_CTX *ctx)
{
    return 1;
}

/* First a service, which sees the live leaf, and then a site that asks for a certificate. It does not see the leaf. */
static void test_a_site_after_a_service(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        OSSL_LIB_CTX *elsewhere;
        SSL_CTX *friend_ctx = tls_ctx_elsewhere(tls_versions[v], &world.friend, &elsewhere);
        SSL_CTX *site_ctx = tls_ctx_in(elsewhere, tls_versions[v], &world.site);
        SSL_CTX *ctx = tls_ctx(tls_versions[v], NULL);
        SSL *client, *friend, *site;
        tls_outcome outcome;

        SSL_CTX_set_verify(friend_ctx, SSL_VERIFY_PEER, accept_any);
        SSL_CTX_set_verify(site_ctx, SSL_VERIFY_PEER, accept_any);
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), world.site.cert);
        client = SSL_new(ctx);
        friend = SSL_new(friend_ctx);
        site = SSL_new(site_ctx);
        outcome = meet(client, friend, false);
        assert_talked("a service", &outcome);
        assert_non_null(SSL_get0_peer_certificate(friend));
        meet(client, site, false);
        assert_null(SSL_get0_peer_certificate(site));
        tls_close(client, site);
        SSL_free(friend);
        SSL_CTX_free(ctx);
        SSL_CTX_free(friend_ctx);
        SSL_CTX_free(site_ctx);
        OSSL_LIB_CTX_free(elsewhere);
    }
}

/* ---- a server ---- */

/* Each handshake is set up by itself: an application may have given the SSL other CAs to name. */
static void test_no_authorities_are_named(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        OSSL_LIB_CTX *elsewhere;
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
        SSL_CTX *friend_ctx = tls_ctx_elsewhere(tls_versions[v], &world.friend, &elsewhere);
        SSL *friend = SSL_new(friend_ctx), *server = SSL_new(server_ctx);
        STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
        tls_outcome outcome;

        outcome = meet(friend, server, false);
        assert_talked("a friend", &outcome);
        assert_true(
            sk_X509_NAME_push(names, X509_NAME_dup(X509_get_subject_name(world.site.cert))));
        SSL_set_client_CA_list(server, names);
        outcome = meet(friend, server, false);
        assert_talked("a friend again", &outcome);
        assert_true(sk_X509_NAME_num(SSL_get0_peer_CA_list(friend)) <= 0);
        tls_close(friend, server);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(friend_ctx);
        OSSL_LIB_CTX_free(elsewhere);
    }
}

/* First a friend, then a client with a key alone, and then the friend again. */
static void test_servers(void **state)
{
    unsigned int displaced;
    OSSL_LIB_CTX *libctx;
    size_t v;

    for (v = 0; v < 2; v++) {
        for (displaced = 0; displaced < HOSTILE_ALL; displaced++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
            SSL_CTX *friend_ctx = tls_ctx(tls_versions[v], &world.friend);
            SSL_CTX *key_ctx = tls_ctx_elsewhere(tls_versions[v], NULL, &libctx);
            SSL *server, *friend = SSL_new(friend_ctx), *key;
            tls_outcome outcome;

            hostile_displace(server_ctx, displaced);
            assert_true(SSL_CTX_set_cipher_list(key_ctx, "PSK"));
            SSL_CTX_set_psk_client_callback(key_ctx, hostile_psk_client);
            server = SSL_new(server_ctx);
            key = SSL_new(key_ctx);
            outcome = meet(friend, server, false);
            assert_talked("a friend", &outcome);
            SSL_set_psk_server_callback(server, hostile_psk_server);
            SSL_set_verify(server, SSL_VERIFY_NONE, NULL);
            world.agent.allow = false; /* in TLS 1.3 the client may show our service's leaf */
            outcome = meet(key, server, displaced % 2 == 1);
            world.agent.allow = true;
            assert_refused("a key, on a friend's SSL", &outcome);
            outcome = meet(friend, server, false);
            assert_talked("the friend again", &outcome);
            tls_close(friend, server);
            SSL_free(key);
            SSL_CTX_free(server_ctx);
            SSL_CTX_free(friend_ctx);
            SSL_CTX_free(key_ctx);
            OSSL_LIB_CTX_free(libctx);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_mode_after_a_handshake, tls_reset),
        cmocka_unit_test_setup(test_clients, tls_reset),
        cmocka_unit_test_setup(test_another_name, tls_reset),
        cmocka_unit_test_setup(test_a_site_after_a_service, tls_reset),
        cmocka_unit_test_setup(test_no_authorities_are_named, tls_reset),
        cmocka_unit_test_setup(test_servers, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up_as_web, tls_tear_down);
}
