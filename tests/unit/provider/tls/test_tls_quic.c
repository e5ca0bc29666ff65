/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's own QUIC. Its SSLs have a lock, which libssl holds while it calls us, and obey no SSL_set_shutdown. */
#include "unit.h"

#include <openssl/err.h>

#include "hostile.h"
#include "quic.h"

/* Let a server under test meet a client. */
static tls_outcome serve(quic_party *server, const minted *client_identity)
{
    quic_party client = quic_client(client_identity, true);
    tls_outcome outcome = quic_talk(&client, server, NULL);

    quic_free(&client);
    return outcome;
}

static tls_outcome serve_once(const minted *server_identity, const minted *client_identity)
{
    quic_party server = quic_server(server_identity, false);
    tls_outcome outcome = serve(&server, client_identity);

    quic_free(&server);
    return outcome;
}

/* Let a client under test meet a server. */
static tls_outcome visit(quic_party *client, const minted *server_identity)
{
    quic_party server = quic_server(server_identity, true);
    tls_outcome outcome = quic_talk(client, &server, NULL);

    quic_free(&server);
    return outcome;
}

/* ---- servers ---- */

static void test_allowed(void **state)
{
    tls_outcome outcome = serve_once(&world.web, &world.friend);

    assert_talked("allowed", &outcome);
    assert_string_equal(outcome.server_errors, "");
    assert_int_equal(world.agent.questions, 1);
    assert_contains(world.agent.last_question, "\"Target\":\"web\"");
    assert_contains(world.agent.last_question, "\"ClientCertURI\":\"" SERVICE("friend") "\"");
}

static void test_no_certificate(void **state)
{
    tls_outcome outcome = serve_once(&world.web, NULL);

    assert_refused("no certificate", &outcome);
    assert_false(outcome.server_done);
    assert_contains(outcome.server_errors, "peer did not return a certificate");
    assert_contains(outcome.client_errors, "closed there with 0x174"); /* certificate_required */
    assert_int_equal(world.agent.questions, 0);
}

static void test_foreign(void **state)
{
    tls_outcome outcome = serve_once(&world.web, &world.stranger);

    assert_refused("foreign", &outcome);
    assert_false(outcome.server_done);
    assert_contains(outcome.server_errors, "not trusted by the Consul roots");
    assert_contains(outcome.client_errors, "closed there with 0x130") /* unknown_ca */;
    assert_int_equal(world.agent.questions, 0);
}

/* Each connection has a verdict of its own, and a refused one costs its server nothing. */
static void test_denied_later(void **state)
{
    static const bool turns[] = {true, false, true, false};
    quic_party server = quic_server(&world.web, false);
    size_t i;

    for (i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
        tls_outcome outcome;

        world.agent.allow = turns[i];
        outcome = serve(&server, &world.friend);
        if (turns[i]) {
            assert_talked("allowed", &outcome);
        } else {
            assert_refused("denied", &outcome);
            assert_contains(outcome.server_errors, "peer denied by Consul: client refused: ");
            assert_contains(outcome.server_errors, SERVICE("friend"));
        }
        outcome = serve(&server, NULL);
        assert_refused("no certificate", &outcome);
    }
    quic_free(&server);
}

static void test_no_leaf(void **state)
{
    minted stand_in = mint_stand_in("consul:leaf/web");
    tls_outcome outcome;

    fake_agent_take_leaf(&world.agent);
    outcome = serve_once(&stand_in, &world.friend);
    assert_refused("no leaf", &outcome);
    assert_false(outcome.server_done || outcome.client_done);
    minted_free(&stand_in);
}

static void test_stand_in(void **state)
{
    minted stand_in = mint_stand_in("consul:leaf/web");
    tls_outcome outcome;

    outcome = serve_once(&stand_in, &world.friend);
    assert_talked("stand-in", &outcome);
    world.agent.allow = false;
    outcome = serve_once(&stand_in, &world.friend);
    assert_refused("stand-in, denied", &outcome);
    outcome = serve_once(&stand_in, NULL);
    assert_refused("stand-in, no certificate", &outcome);
    minted_free(&stand_in);
}

/* ---- clients ---- */

static void test_client(void **state)
{
    quic_party client = quic_client(&world.friend, false);
    tls_outcome outcome = visit(&client, &world.web);

    assert_talked("a server of the mesh", &outcome);
    outcome = visit(&client, &world.stranger);
    assert_refused("an impostor", &outcome);
    assert_contains(outcome.client_errors, "not trusted by the Consul roots");
    outcome = visit(&client, &world.site);
    assert_refused("an ordinary server", &outcome);
    assert_false(outcome.client_done);
    assert_int_equal(world.agent.questions, 0);
    quic_free(&client);
}

static void test_both_ends(void **state)
{
    quic_party server = quic_server(&world.web, false), client = quic_client(&world.friend, false);
    tls_outcome outcome = quic_talk(&client, &server, NULL);

    assert_talked("both ends", &outcome);
    world.agent.allow = false;
    outcome = quic_talk(&client, &server, NULL);
    assert_refused("both ends, denied", &outcome);
    quic_free(&server);
    quic_free(&client);
}

static unsigned int spare; /* the callback that is not displaced */

static int failures;

static void note(bool ok, const char *what, const tls_outcome *outcome)
{
    if (ok)
        return;
    failures++;
    print_error("all but %u: %s (%d, %d)\nclient: %s\nserver: %s\n", spare, what,
                outcome->client_got, outcome->server_got, outcome->client_errors,
                outcome->server_errors);
}

static bool is_silent(const tls_outcome *outcome)
{
    return !outcome->server_got && !outcome->client_got;
}

/* ---- sessions ---- */

/*
 * Connect to the first server, and then to the second with the session of the first connection. Both have the
 * same keys for tickets.
 */
static tls_outcome resume(quic_party *first, quic_party *second, const minted *client_identity)
{
    static unsigned char keys[80] = "the same for both";
    quic_party client = quic_client(client_identity, true);
    tls_outcome outcome;
    SSL_SESSION *session;

    assert_int_equal(SSL_CTX_set_tlsext_ticket_keys(first->ctx, keys, sizeof(keys)), 1);
    assert_int_equal(SSL_CTX_set_tlsext_ticket_keys(second->ctx, keys, sizeof(keys)), 1);
    outcome = quic_talk(&client, first, NULL);
    assert_talked("first", &outcome);
    session = SSL_SESSION_dup(SSL_get0_session(client.ssl)); /* libssl spoils that of a freed SSL */
    assert_non_null(session);
    outcome = quic_talk(&client, second, session);
    SSL_SESSION_free(session);
    quic_free(&client);
    return outcome;
}

static void test_sessions(void **state)
{
    quic_party site = quic_server(&world.site, false), web = quic_server(&world.web, false);
    tls_outcome outcome = resume(&site, &site, NULL);

    assert_talked("an ordinary server", &outcome);
    assert_true(outcome.reused);
    assert_int_equal(world.agent.questions, 0); /* a watch may ask meanwhile */
    outcome = resume(&web, &web, &world.friend);
    assert_talked("again", &outcome);
    assert_false(outcome.reused);
    assert_int_equal(world.agent.questions, 2);
    outcome = resume(&site, &web, NULL);
    assert_refused("another's session", &outcome);
    quic_free(&site);
    quic_free(&web);
}

/* ---- applications that set the same things as we do ---- */

static int accept_all(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static void verify_none_on_info(const SSL *ssl, int where, int value)
{
    SSL_set_verify((SSL *)ssl, SSL_VERIFY_NONE, NULL);
}

static void displace(SSL_CTX *ctx)
{
    hostile_displace(ctx, HOSTILE_ALL & ~spare);
    SSL_CTX_set_cert_verify_callback(ctx, accept_all, NULL);
    SSL_CTX_set_info_callback(ctx, verify_none_on_info);
}

static void test_displaced_servers(void **state)
{
    quic_party server, site = quic_server(&world.site, false);
    tls_outcome outcome;

    failures = 0;
    for (spare = 1; spare < HOSTILE_ALL; spare <<= 1) {
        server = quic_server(&world.web, false);
        displace(server.ctx);
        outcome = serve(&server, NULL);
        note(is_silent(&outcome), "a client without a certificate got in", &outcome);
        outcome = serve(&server, &world.site);
        note(is_silent(&outcome), "a stranger got in", &outcome);
        world.agent.allow = false;
        outcome = serve(&server, &world.friend);
        world.agent.allow = true;
        note(is_silent(&outcome), "a denied client got in", &outcome);
        if (spare != HOSTILE_NOT_RESUMABLE) { /* this one is not called then (SECURITY.md) */
            outcome = resume(&site, &server, NULL);
            note(is_silent(&outcome), "a client got in with another's session", &outcome);
        }
        quic_free(&server);
    }
    quic_free(&site);
    assert_int_equal(failures, 0);
}

static void test_displaced_clients(void **state)
{
    quic_party client;
    tls_outcome outcome;

    failures = 0;
    for (spare = 0; spare < HOSTILE_ALL; spare = spare == 0 ? 1 : spare << 1) {
        client = quic_client(&world.friend, false);
        displace(client.ctx);
        outcome = visit(&client, &world.site);
        note(is_silent(&outcome), "an ordinary server was talked to", &outcome);
        outcome = visit(&client, &world.stranger);
        note(is_silent(&outcome), "an impostor was talked to", &outcome);
        quic_free(&client);
    }
    assert_int_equal(failures, 0);
}

static void verify_none_on_message(int write_p, int version, int content_type, const void *buf,
                                   size_t len, SSL *ssl, void *arg)
{
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
}

/*
 * The verify mode may be gone just before an empty Certificate is read. The client's data comes with the end of its handshake,
 * and so in the same step of the server.
 */
static void test_servers_without_a_mode(void **state)
{
    quic_party server;
    tls_outcome outcome;

    failures = 0;
    for (spare = 1; spare < HOSTILE_ALL; spare <<= 1) {
        if (spare == HOSTILE_MESSAGE)
            continue;
        server = quic_server(&world.web, false);
        displace(server.ctx);
        SSL_CTX_set_msg_callback(server.ctx, verify_none_on_message);
        outcome = serve(&server, NULL);
        note(is_silent(&outcome), "a client without a certificate got in", &outcome);
        outcome = serve(&server, &world.friend);
        note(outcome.server_got && outcome.client_got, "a friend was refused", &outcome);
        quic_free(&server);
    }
    assert_int_equal(failures, 0);
}

/* ---- an application that writes under all numbers of ex_data ---- */

#define NUMBERS 64
#define STEPS 12 /* of a handshake, at least */

static int written_at, steps;
static bool on_server;

static void overwrite_in_a_step(const SSL *s, int where, int value)
{
    SSL *ssl = (SSL *)s;
    int number;

    if ((where & SSL_CB_LOOP) == 0 || SSL_is_server(ssl) != on_server || steps++ != written_at)
        return;
    for (number = 0; number < NUMBERS; number++)
        assert_int_equal(SSL_set_ex_data(ssl, number, (void *)1), 1);
}

/* The provider keeps nothing there. */
static void test_overwritten(void **state)
{
    const minted *const clients[] = {&world.friend, &world.stranger};
    size_t i;

    for (i = 0; i < 2; i++) {
        for (written_at = 0; written_at < STEPS; written_at += 3) {
            quic_party server = quic_server(&world.web, false),
                       client = quic_client(clients[i], false);
            tls_outcome outcome;

            SSL_CTX_set_info_callback(on_server ? server.ctx : client.ctx, overwrite_in_a_step);
            steps = 0;
            outcome = quic_talk(&client, &server, NULL);
            assert_int_equal(outcome.server_got && outcome.client_got, i == 0);
            assert_false(i != 0 && (outcome.server_got || outcome.client_got));
            quic_free(&client);
            quic_free(&server);
        }
    }
}

static void test_overwritten_servers(void **state)
{
    on_server = true;
    test_overwritten(state);
}

static void test_overwritten_clients(void **state)
{
    on_server = false;
    test_overwritten(state);
}

/* ---- clients that do something late ---- */

static int use_secret(SSL *ssl, unsigned int type, unsigned int context, const unsigned char **out,
                      size_t *out_len, X509 *cert, size_t index, int *alert, void *arg)
{
    SSL_set_psk_use_session_callback(ssl, hostile_psk_use);
    return 0;
}

static const minted *given; /* the leaf, or its stand-in */

static int give_leaf(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
    X509_up_ref(given->cert);
    EVP_PKEY_up_ref(given->key);
    *cert = given->cert;
    *key = given->key;
    return 1;
}

/* Give the SSL a BIO again that a stop has taken, at the end of its handshake. */
static void put_bio_back(const SSL *s, int where, int value)
{
    SSL *ssl = (SSL *)s;
    BIO *bio = SSL_get_rbio(ssl);

    if (where == SSL_CB_CONNECT_EXIT && bio != NULL && SSL_get_wbio(ssl) == NULL && BIO_up_ref(bio))
        SSL_set0_wbio(ssl, bio);
}

/* Let a client meet an ordinary server that knows a secret, asks for a certificate and takes any. */
static tls_outcome visit_late(quic_party *client)
{
    quic_party server = quic_server(&world.site, true);
    tls_outcome outcome;

    SSL_CTX_set_psk_find_session_callback(server.ctx, hostile_psk_find);
    SSL_CTX_set_session_id_context(server.ctx, (const unsigned char *)"any", 3);
    SSL_CTX_set_verify(server.ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(server.ctx, accept_all, NULL);
    SSL_CTX_set_info_callback(client->ctx, put_bio_back);
    outcome = quic_talk(client, &server, NULL);
    quic_free(&server);
    quic_free(client);
    return outcome;
}

static void test_late_secret(void **state)
{
    quic_party client = quic_client(&world.friend, false);
    tls_outcome outcome;

    assert_int_equal(SSL_CTX_add_custom_ext(client.ctx, 65300, SSL_EXT_CLIENT_HELLO, use_secret,
                                            NULL, NULL, NULL, NULL),
                     1);
    assert_int_equal(SSL_CTX_set_ciphersuites(client.ctx, "TLS_AES_128_GCM_SHA256"), 1);
    outcome = visit_late(&client);
    assert_refused("a secret of the application", &outcome);
    assert_false(outcome.client_done);
}

static void test_late_leaf(void **state)
{
    minted stand_in = mint_stand_in("consul:leaf/friend");
    const minted *const leaves[] = {&world.friend, &stand_in};
    size_t i;

    for (i = 0; i < 2; i++) {
        quic_party client = quic_client(NULL, false);
        tls_outcome outcome;

        given = leaves[i];
        SSL_CTX_set_client_cert_cb(client.ctx, give_leaf);
        outcome = visit_late(&client);
        assert_refused("a leaf when it is asked for", &outcome);
        assert_false(outcome.client_done);
    }
    minted_free(&stand_in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_allowed, tls_reset),
        cmocka_unit_test_setup(test_no_certificate, tls_reset),
        cmocka_unit_test_setup(test_foreign, tls_reset),
        cmocka_unit_test_setup(test_denied_later, tls_reset),
        cmocka_unit_test_setup(test_no_leaf, tls_reset),
        cmocka_unit_test_setup(test_stand_in, tls_reset),
        cmocka_unit_test_setup(test_client, tls_reset),
        cmocka_unit_test_setup(test_both_ends, tls_reset),
        cmocka_unit_test_setup(test_sessions, tls_reset),
        cmocka_unit_test_setup(test_displaced_servers, tls_reset),
        cmocka_unit_test_setup(test_servers_without_a_mode, tls_reset),
        cmocka_unit_test_setup(test_displaced_clients, tls_reset),
        cmocka_unit_test_setup(test_late_secret, tls_reset),
        cmocka_unit_test_setup(test_late_leaf, tls_reset),
        cmocka_unit_test_setup(test_overwritten_servers, tls_reset),
        cmocka_unit_test_setup(test_overwritten_clients, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
