/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions and early data: nothing of an earlier handshake stands in for this one. */
#include "unit.h"

#include <openssl/err.h>

#include "tls.h"

/* ---- sessions ---- */

/* Let a client offer this session (or none). It may be of a library context without the provider. */
static tls_outcome offer_by(SSL_CTX *client_ctx, OSSL_LIB_CTX *elsewhere, SSL_CTX *server_ctx,
                            SSL_SESSION *session, void (*on_server)(SSL *ssl), SSL_SESSION **next)
{
    SSL *client, *server;
    tls_outcome outcome;

    tls_pair_with(client_ctx, server_ctx, elsewhere, true, &client, &server);
    if (session != NULL)
        assert_true(SSL_set_session(client, session));
    if (on_server != NULL)
        on_server(server);
    outcome = tls_talk(client, server);
    if (next != NULL)
        *next = SSL_get1_session(client);
    tls_close(client, server);
    return outcome;
}

/* Let a client without a certificate offer this session (or none). */
static tls_outcome offer(int version, SSL_CTX *server_ctx, SSL_SESSION *session,
                         void (*on_server)(SSL *ssl), SSL_SESSION **next)
{
    SSL_CTX *client_ctx = tls_ctx(version, NULL);
    tls_outcome outcome = offer_by(client_ctx, NULL, server_ctx, session, on_server, next);

    SSL_CTX_free(client_ctx);
    return outcome;
}

/* Check that a friend who offers this session is served, by a full handshake. No client of ours would offer it. */
static void assert_friend_is_verified(const char *name, int version, SSL_CTX *server_ctx,
                                      SSL_SESSION *session, void (*on_server)(SSL *ssl))
{
    OSSL_LIB_CTX *libctx;
    SSL_CTX *client_ctx = tls_ctx_elsewhere(version, &world.friend, &libctx);
    tls_outcome outcome = offer_by(client_ctx, libctx, server_ctx, session, on_server, NULL);

    assert_talked(name, &outcome);
    assert_false(outcome.reused);
    SSL_CTX_free(client_ctx);
    OSSL_LIB_CTX_free(libctx);
}

/* Return the session of a friend's connection. A client of ours would have made it unusable. */
static SSL_SESSION *session_of_a_friend(int version, SSL_CTX *server_ctx,
                                        void (*on_server)(SSL *ssl))
{
    OSSL_LIB_CTX *libctx;
    SSL_CTX *client_ctx = tls_ctx_elsewhere(version, &world.friend, &libctx);
    SSL_SESSION *session;
    tls_outcome outcome = offer_by(client_ctx, libctx, server_ctx, NULL, on_server, &session);

    assert_talked("a friend", &outcome);
    assert_false(outcome.reused);
    assert_non_null(session);
    SSL_CTX_free(client_ctx);
    OSSL_LIB_CTX_free(libctx);
    return session;
}

static void nothing_more(SSL_CTX *ctx)
{
}

static void tickets(SSL_CTX *ctx)
{
    SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ctx, 2);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_BOTH);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"app", 3);
}

static void stateful(SSL_CTX *ctx)
{
    tickets(ctx);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
}

static SSL_SESSION *stored;

static int store_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION_free(stored);
    stored = session;
    return 1;
}

/* Find the stored session for every client. */
static SSL_SESSION *find_session(SSL *ssl, const unsigned char *id, int len, int *copy)
{
    *copy = 1;
    return stored;
}

static void external_cache(SSL_CTX *ctx)
{
    stateful(ctx);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, store_session);
    SSL_CTX_sess_set_get_cb(ctx, find_session);
}

static int never_mind(SSL *ssl, int is_forward_secure)
{
    return 0;
}

static void not_resumable_displaced(SSL_CTX *ctx)
{
    tickets(ctx);
    SSL_CTX_set_not_resumable_session_callback(ctx, never_mind);
}

static void tickets_on_ssl(SSL *ssl)
{
    SSL_clear_options(ssl, SSL_OP_NO_TICKET);
    SSL_set_num_tickets(ssl, 2);
    SSL_set_session_id_context(ssl, (const unsigned char *)"app", 3);
    SSL_set_not_resumable_session_callback(ssl, never_mind);
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    tickets_on_ssl(ssl);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* Set all of that again after the connection was set up for Connect, and before a session is looked up. */
static void tickets_in_client_hello(SSL_CTX *ctx)
{
    tickets(ctx);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
}

static const struct {
    const char *name;
    void (*on_ctx)(SSL_CTX *ctx);
    void (*on_ssl)(SSL *ssl);
} caches[] = {
    {"nothing set", nothing_more, NULL},
    {"tickets", tickets, NULL},
    {"stateful", stateful, NULL},
    {"external cache", external_cache, NULL},
    {"not_resumable displaced", not_resumable_displaced, NULL},
    {"tickets on the SSL", tickets, tickets_on_ssl},
    {"external cache, and on the SSL", external_cache, tickets_on_ssl},
    {"tickets in the ClientHello callback", tickets_in_client_hello, NULL},
};

#define CACHES (sizeof(caches) / sizeof(caches[0]))

/* All of that does resume where no endpoint is governed. */
static void test_ordinary_sessions(void **state)
{
    size_t i, v;

    for (i = 0; i < CACHES; i++) {
        for (v = 0; v < 2; v++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.site);
            SSL_SESSION *session;
            tls_outcome outcome;

            caches[i].on_ctx(server_ctx);
            outcome = offer(tls_versions[v], server_ctx, NULL, caches[i].on_ssl, &session);
            assert_talked(caches[i].name, &outcome);
            outcome = offer(tls_versions[v], server_ctx, session, caches[i].on_ssl, NULL);
            assert_talked(caches[i].name, &outcome);
            if (!outcome.reused)
                fail_msg("%s: not resumed: %s%s", caches[i].name, outcome.client_errors,
                         outcome.server_errors);
            SSL_SESSION_free(session);
            SSL_SESSION_free(stored);
            stored = NULL;
            SSL_CTX_free(server_ctx);
        }
    }
}

/* A friend's session is no certificate. */
static void test_sessions_of_friends(void **state)
{
    size_t i, v;

    for (i = 0; i < CACHES; i++) {
        for (v = 0; v < 2; v++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
            SSL_SESSION *session;
            tls_outcome outcome;

            caches[i].on_ctx(server_ctx);
            session = session_of_a_friend(tls_versions[v], server_ctx, caches[i].on_ssl);
            if (tls_versions[v] == TLS1_3_VERSION && caches[i].on_ctx != tickets_in_client_hello)
                assert_false(SSL_SESSION_is_resumable(session)); /* no ticket came */
            outcome = offer(tls_versions[v], server_ctx, session, caches[i].on_ssl, NULL);
            assert_refused(caches[i].name, &outcome);
            assert_friend_is_verified(caches[i].name, tls_versions[v], server_ctx, session,
                                      caches[i].on_ssl);
            SSL_SESSION_free(session);
            SSL_SESSION_free(stored);
            stored = NULL;
            SSL_CTX_free(server_ctx);
        }
    }
}

/* A session that no other handshake may resume takes no place in the server's cache. */
static void test_no_session_is_kept(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
        SSL_SESSION *session;

        stateful(server_ctx);
        session = session_of_a_friend(tls_versions[v], server_ctx, NULL);
        assert_int_equal(SSL_CTX_sess_number(server_ctx), 0);
        SSL_SESSION_free(session);
        SSL_CTX_free(server_ctx);
    }
}

/* A session from before the context had its leaf is not resumed, either. */
static void test_sessions_from_before(void **state)
{
    size_t i, v;

    for (i = 0; i < CACHES; i++) {
        for (v = 0; v < 2; v++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.site);
            SSL_SESSION *session;
            tls_outcome outcome;

            caches[i].on_ctx(server_ctx);
            outcome = offer(tls_versions[v], server_ctx, NULL, caches[i].on_ssl, &session);
            assert_talked(caches[i].name, &outcome);
            tls_use(server_ctx, &world.web);
            outcome = offer(tls_versions[v], server_ctx, session, caches[i].on_ssl, NULL);
            assert_refused(caches[i].name, &outcome);
            if (caches[i].on_ctx
                != tickets_in_client_hello) /* such a session is found, and is a stop */
                assert_friend_is_verified(caches[i].name, tls_versions[v], server_ctx, session,
                                          caches[i].on_ssl);
            SSL_SESSION_free(session);
            SSL_SESSION_free(stored);
            stored = NULL;
            SSL_CTX_free(server_ctx);
        }
    }
}

static int give_certificate(SSL *ssl, void *own)
{
    const minted *given = *(const minted **)own;

    return SSL_use_certificate(ssl, given->cert) == 1 && SSL_use_PrivateKey(ssl, given->key) == 1;
}

/* The callback that gives a server its certificate is not called in a resumption. Its leaf would be unknown. */
static void test_sessions_of_a_server_without_a_certificate(void **state)
{
    const minted *given;
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], NULL);
        SSL_SESSION *session;
        tls_outcome outcome;

        SSL_CTX_set_session_id_context(server_ctx, (const unsigned char *)"app", 3);
        SSL_CTX_set_cert_cb(server_ctx, give_certificate, &given);
        given = &world.site;
        outcome = offer(tls_versions[v], server_ctx, NULL, NULL, &session);
        assert_talked("ordinary", &outcome);
        given = &world.web;
        outcome = offer(tls_versions[v], server_ctx, session, NULL, NULL);
        assert_refused("a session with an ordinary server", &outcome);
        SSL_SESSION_free(session);
        SSL_CTX_free(server_ctx);
    }
}

static int anything_goes(const SSL *ssl, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                         void *ex)
{
    return 1;
}

static int displace_security(SSL *ssl, int *alert, void *arg)
{
    SSL_set_security_callback(ssl, anything_goes);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static void share_ticket_keys(SSL_CTX *from, SSL_CTX *to)
{
    unsigned char keys[256];
    long len = SSL_CTX_get_tlsext_ticket_keys(from, NULL, 0);

    assert_between(len, 1, sizeof(keys));
    assert_int_equal(SSL_CTX_get_tlsext_ticket_keys(from, keys, len), 1);
    assert_int_equal(SSL_CTX_set_tlsext_ticket_keys(to, keys, len), 1);
}

/* An ordinary server has made the ticket. Callbacks are displaced before libssl asks them about anything. */
static void test_tickets_of_another_server(void **state)
{
    const minted *given = &world.web;
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *other_ctx = tls_ctx(tls_versions[v], &world.site);
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], NULL);
        SSL_SESSION *session;
        tls_outcome outcome;

        SSL_CTX_set_session_id_context(other_ctx, (const unsigned char *)"app", 3);
        SSL_CTX_set_session_id_context(server_ctx, (const unsigned char *)"app", 3);
        share_ticket_keys(other_ctx, server_ctx);
        SSL_CTX_set_msg_callback(server_ctx, NULL);
        SSL_CTX_set_client_hello_cb(server_ctx, displace_security, NULL);
        SSL_CTX_set_cert_cb(server_ctx, give_certificate, &given);
        outcome = offer(tls_versions[v], other_ctx, NULL, NULL, &session);
        assert_talked("ordinary", &outcome);
        outcome = offer(tls_versions[v], server_ctx, session, NULL, NULL);
        assert_refused("a ticket of an ordinary server", &outcome);
        SSL_SESSION_free(session);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(other_ctx);
    }
}

/* Two connections of one friend are two questions. */
static void test_each_connection_is_asked_about(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.friend);
        SSL_SESSION *session = session_of_a_friend(tls_versions[v], server_ctx, NULL);
        SSL *client, *server;
        tls_outcome outcome;

        world.agent.questions = 0;
        tls_pair(client_ctx, server_ctx, &client, &server);
        assert_true(SSL_set_session(client, session));
        outcome = tls_talk(client, server);
        assert_talked("a friend, again", &outcome);
        assert_false(outcome.reused);
        assert_int_equal(world.agent.questions, 1);
        tls_close(client, server);
        SSL_SESSION_free(session);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
}

/* A session with an ordinary server is no proof to a client that has its leaf by now. */
static void test_client_forgets_sessions(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.site);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.friend);
        SSL_SESSION *session;
        SSL *client, *server;
        tls_outcome outcome = offer(tls_versions[v], server_ctx, NULL, NULL, &session);

        assert_talked("ordinary", &outcome);
        tls_pair(client_ctx, server_ctx, &client, &server);
        assert_true(SSL_set_session(client, session));
        outcome = tls_talk(client, server);
        assert_refused("a session with an ordinary server", &outcome);
        tls_close(client, server);
        SSL_SESSION_free(session);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
}

/* ---- early data ---- */

/* Return the bytes that a server reads before the handshake is over. */
static size_t read_early(SSL_CTX *server_ctx, SSL_SESSION *session)
{
    SSL_CTX *client_ctx = tls_ctx(TLS1_3_VERSION, NULL);
    SSL *client, *server;
    char buffer[64];
    size_t written = 0, got = 0, more = 0;
    int result = SSL_READ_EARLY_DATA_ERROR, turn;

    tls_pair(client_ctx, server_ctx, &client, &server);
    assert_true(SSL_set_session(client, session));
    SSL_set_max_early_data(server, 4096);
    SSL_write_early_data(client, "early", 5, &written);
    for (turn = 0; turn < 5 && result != SSL_READ_EARLY_DATA_FINISH; turn++) {
        result = SSL_read_early_data(server, buffer, sizeof(buffer), &more);
        if (result == SSL_READ_EARLY_DATA_SUCCESS)
            got += more;
    }
    ERR_clear_error();
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    return got;
}

static SSL_SESSION *session_for_early_data(SSL_CTX *server_ctx)
{
    SSL_SESSION *session;
    tls_outcome outcome;

    SSL_CTX_set_max_early_data(server_ctx, 4096);
    SSL_CTX_set_options(server_ctx, SSL_OP_NO_ANTI_REPLAY);
    outcome = offer(TLS1_3_VERSION, server_ctx, NULL, NULL, &session);
    assert_talked("before early data", &outcome);
    return session;
}

static void test_early_data(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.site);
    SSL_SESSION *session = session_for_early_data(server_ctx);

    assert_int_equal(read_early(server_ctx, session), 5); /* among the ordinary */
    SSL_SESSION_free(session);
    session = session_for_early_data(server_ctx);
    tls_use(server_ctx, &world.web);
    assert_int_equal(read_early(server_ctx, session), 0);
    SSL_SESSION_free(session);
    SSL_CTX_free(server_ctx);
}

/* A friend's early data is skipped, and does not end the handshake. */
static void test_early_data_of_a_friend(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.site);
    SSL_SESSION *session = session_for_early_data(server_ctx);
    OSSL_LIB_CTX *libctx;
    SSL_CTX *client_ctx = tls_ctx_elsewhere(TLS1_3_VERSION, &world.friend, &libctx);
    SSL *client, *server;
    tls_outcome outcome;
    size_t written;

    tls_use(server_ctx, &world.web);
    tls_pair_with(client_ctx, server_ctx, libctx, true, &client, &server);
    assert_true(SSL_set_session(client, session));
    SSL_set_max_early_data(server, 4096);
    assert_int_equal(SSL_write_early_data(client, "early", 5, &written), 1);
    outcome = tls_talk(client, server);
    assert_talked("early data", &outcome);
    assert_false(outcome.reused);
    tls_close(client, server);
    SSL_SESSION_free(session);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    OSSL_LIB_CTX_free(libctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_ordinary_sessions, tls_reset),
        cmocka_unit_test_setup(test_sessions_of_friends, tls_reset),
        cmocka_unit_test_setup(test_no_session_is_kept, tls_reset),
        cmocka_unit_test_setup(test_sessions_from_before, tls_reset),
        cmocka_unit_test_setup(test_sessions_of_a_server_without_a_certificate, tls_reset),
        cmocka_unit_test_setup(test_tickets_of_another_server, tls_reset),
        cmocka_unit_test_setup(test_each_connection_is_asked_about, tls_reset),
        cmocka_unit_test_setup(test_client_forgets_sessions, tls_reset),
        cmocka_unit_test_setup(test_early_data, tls_reset),
        cmocka_unit_test_setup(test_early_data_of_a_friend, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
