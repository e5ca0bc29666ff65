/* SPDX-License-Identifier: Apache-2.0 */
/* The last stop, and applications that get in its way: by an info callback, or by early data. */
#include "unit.h"

#include <openssl/err.h>

#include "hostile.h"
#include "tls.h"

/* ---- an info callback that takes its place ---- */

static int unset_at, steps;

static void take_the_place(const SSL *s, int where, int value)
{
    SSL *ssl = (SSL *)s;

    if ((where & SSL_CB_LOOP) == 0)
        return;
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    SSL_set_info_callback(ssl, ++steps >= unset_at ? NULL : take_the_place);
}

/* Take its place from the first step of a handshake on, and unset it at a later one. */
static void try_to_unset(int version, unsigned int displaced, bool on_ssl)
{
    SSL_CTX *server_ctx = tls_ctx(version, &world.web), *client_ctx;
    OSSL_LIB_CTX *libctx;
    SSL *client, *server;
    tls_outcome outcome;

    client_ctx = tls_ctx_elsewhere(version, NULL, &libctx);
    hostile_displace(server_ctx, displaced);
    if (!on_ssl)
        SSL_CTX_set_info_callback(server_ctx, take_the_place);
    tls_pair(client_ctx, server_ctx, &client, &server);
    if (on_ssl)
        SSL_set_info_callback(server, take_the_place);
    steps = 0;
    outcome = tls_talk(client, server);
    assert_false(outcome.server_got || outcome.client_got);
    /* The server of TLS 1.2 has the last word, and does not say it. */
    assert_false(version == TLS1_2_VERSION && (displaced & HOSTILE_MESSAGE) == 0
                 && outcome.client_done);
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    OSSL_LIB_CTX_free(libctx);
}

static void test_unset(void **state)
{
    static const unsigned int sets[] = {0, HOSTILE_MESSAGE, HOSTILE_MESSAGE | HOSTILE_SECURITY,
                                        HOSTILE_MESSAGE | HOSTILE_NOT_RESUMABLE};
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
            for (unset_at = 0; unset_at < 16; unset_at++) {
                try_to_unset(tls_versions[v], sets[i], false);
                try_to_unset(tls_versions[v], sets[i], true);
            }
        }
    }
}

static void demand_nothing(const SSL *ssl, int where, int value)
{
    SSL_set_verify((SSL *)ssl, SSL_VERIFY_NONE, NULL);
}

/* The client is asked for its certificate all the same. */
static void test_mode_taken_in_each_step(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web),
                *client_ctx = tls_ctx(tls_versions[v], &world.friend);
        tls_outcome outcome;

        SSL_CTX_set_info_callback(server_ctx, demand_nothing);
        outcome = tls_connect(client_ctx, server_ctx);
        assert_talked("a friend", &outcome);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
    }
}

/* ---- one that is made of ours ---- */

static void (*ours)(const SSL *, int, int);
static int depth, deepest;

static void wrap(const SSL *ssl, int where, int value)
{
    if (++depth > deepest)
        deepest = depth;
    if (depth < 100)
        ours(ssl, where, value);
    depth--;
}

static void test_wrapped(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.web),
            *client_ctx = tls_ctx(TLS1_3_VERSION, &world.friend);
    SSL *client, *server;
    tls_outcome outcome;

    tls_pair(client_ctx, server_ctx, &client, &server);
    outcome = tls_talk(client, server);
    assert_talked("before", &outcome);
    ours = SSL_get_info_callback(server);
    assert_non_null(ours);
    tls_close(client, server);
    SSL_CTX_set_info_callback(server_ctx, wrap);
    tls_pair(client_ctx, server_ctx, &client, &server);
    outcome = tls_talk(client, server);
    assert_talked("wrapped", &outcome);
    assert_between(deepest, 1, 2);
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
}

/* ---- a verification in the place of ours ---- */

static int accept_all(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

/* The peer is told by an alert, before the end of the handshake. */
static void test_verified_by_the_application(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web),
                *client_ctx = tls_ctx(tls_versions[v], &world.site);
        tls_outcome outcome;

        SSL_CTX_set_cert_verify_callback(server_ctx, accept_all, NULL);
        outcome = tls_connect(client_ctx, server_ctx);
        assert_refused("server", &outcome);
        assert_false(outcome.server_done);
        assert_contains(outcome.server_errors, "without having been verified");
        assert_contains(outcome.client_errors, "alert");
        SSL_CTX_free(server_ctx);
        server_ctx = tls_ctx(tls_versions[v], &world.site);
        tls_use(client_ctx, &world.friend);
        SSL_CTX_set_cert_verify_callback(client_ctx, accept_all, NULL);
        outcome = tls_connect(client_ctx, server_ctx);
        assert_refused("client", &outcome);
        assert_false(outcome.client_done);
        assert_contains(outcome.server_errors, "alert");
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
    }
}

/*
 * A refused client makes no keys where the verification alone is left, as its certificate has another key then. TLS 1.1 asks
 * about no signature.
 */
static void test_signature_of_a_refused_client(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_1_VERSION, &world.web),
            *client_ctx = tls_ctx(TLS1_1_VERSION, &world.site);
    tls_outcome outcome;

    SSL_CTX_set_security_level(client_ctx, 0);
    SSL_CTX_set_cert_verify_callback(server_ctx, accept_all, NULL);
    SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    hostile_displace(server_ctx, HOSTILE_ALL);
    outcome = tls_connect(client_ctx, server_ctx);
    assert_refused("server", &outcome);
    assert_false(outcome.server_done);
    assert_contains(outcome.server_errors, "bad signature");
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
}

/* The application's verdict and ours both count: a friend gets in, unless it is denied or refused. */
static void test_friend_verified_by_the_application(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web),
                *client_ctx = tls_ctx(tls_versions[v], &world.friend);
        tls_outcome outcome;

        SSL_CTX_set_cert_verify_callback(server_ctx, accept_all, NULL);
        outcome = tls_connect(client_ctx, server_ctx);
        assert_talked("a friend", &outcome);
        world.agent.allow = false;
        outcome = tls_connect(client_ctx, server_ctx);
        world.agent.allow = true;
        assert_refused("a denied friend", &outcome);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
    }
}

/* Verify a friend's certificate in the handshake of another peer. It admits the friend alone. */
static int verify_a_friend(X509_STORE_CTX *theirs, void *arg)
{
    int index = SSL_get_ex_data_X509_STORE_CTX_idx();
    SSL *ssl = X509_STORE_CTX_get_ex_data(theirs, index);
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    assert_int_equal(X509_STORE_CTX_init(ctx, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)),
                                         world.friend.cert, NULL),
                     1);
    X509_STORE_CTX_set_ex_data(ctx, index, ssl);
    X509_STORE_CTX_free(ctx);
    return accept_all(theirs, arg);
}

static void test_another_verified(void **state)
{
    const minted *peers[] = {&world.site, &world.stranger};
    size_t i;

    for (i = 0; i < 4; i++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[i % 2], &world.web),
                *client_ctx = tls_ctx(tls_versions[i % 2], peers[i / 2]);
        tls_outcome outcome;

        SSL_CTX_set_cert_verify_callback(server_ctx, verify_a_friend, NULL);
        outcome = tls_connect(client_ctx, server_ctx);
        assert_refused("a peer beside a verified friend", &outcome);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
    }
}

/* ---- a server that writes before the client's certificate has come ---- */

/* The things that it takes back before each call, as a set. */
enum takes { TAKES_NOTHING, TAKES_SHUTDOWN = 1, TAKES_BIO = 2, TAKES_MESSAGE = 4 };

static void take_back(SSL *server, BIO *bio, unsigned int takes)
{
    if ((takes & TAKES_SHUTDOWN) != 0)
        SSL_set_shutdown(server, 0);
    if ((takes & TAKES_BIO) != 0 && BIO_up_ref(bio))
        SSL_set0_wbio(server, bio);
}

static bool is_given_early(const minted *who, unsigned int takes)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.web),
            *client_ctx = tls_ctx(TLS1_3_VERSION, who);
    SSL *client, *server;
    bool given = false;
    char buffer[64];
    size_t len;
    BIO *bio;
    int i;

    SSL_CTX_set_max_early_data(server_ctx, 100);
    if ((takes & TAKES_MESSAGE) != 0)
        hostile_displace(server_ctx, HOSTILE_MESSAGE);
    tls_pair(client_ctx, server_ctx, &client, &server);
    bio = SSL_get_wbio(server);
    assert_true(BIO_up_ref(bio));
    for (i = 0; i < 10; i++) {
        given = SSL_read(client, buffer, sizeof(buffer)) > 0 || given;
        take_back(server, bio, takes);
        SSL_read_early_data(server, buffer, sizeof(buffer), &len);
        take_back(server, bio, takes);
        SSL_write_early_data(server, "pong", 4, &len);
        ERR_clear_error();
    }
    tls_close(client, server);
    BIO_free(bio);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    return given;
}

static void assert_nobody_is_given(unsigned int takes)
{
    assert_false(is_given_early(NULL, takes));
    assert_false(is_given_early(&world.stranger, takes));
    assert_false(is_given_early(&world.site, takes));
}

/* The friend has it once the handshake is done, by an SSL_write. */
static void test_early(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.web),
            *client_ctx = tls_ctx(TLS1_3_VERSION, &world.friend);
    SSL *client, *server;
    char buffer[64];
    size_t len;
    tls_outcome outcome;

    assert_nobody_is_given(TAKES_NOTHING);
    assert_nobody_is_given(TAKES_SHUTDOWN);
    assert_nobody_is_given(TAKES_SHUTDOWN | TAKES_MESSAGE);
    assert_nobody_is_given(TAKES_SHUTDOWN | TAKES_BIO);
    SSL_CTX_set_max_early_data(server_ctx, 100);
    tls_pair(client_ctx, server_ctx, &client, &server);
    SSL_do_handshake(client);
    assert_int_equal(SSL_read_early_data(server, buffer, sizeof(buffer), &len),
                     SSL_READ_EARLY_DATA_FINISH);
    outcome = tls_talk(client, server);
    assert_talked("the friend", &outcome);
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
}

/* ---- a ticket, which a server of TLS 1.3 is kept from writing ---- */

static void demand_nothing_and_write_none(int write_p, int version, int content_type,
                                          const void *buf, size_t len, SSL *ssl, void *arg)
{
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    SSL_set_num_tickets(ssl, 0);
}

static BIO *bio_of_server; /* as it was at first */

/* Take back what a stop does at the end. */
static void revive(const SSL *s, int where, int value)
{
    SSL *ssl = (SSL *)s;

    if (where == SSL_CB_HANDSHAKE_START)
        bio_of_server = SSL_get_wbio(ssl);
    if (where != SSL_CB_HANDSHAKE_DONE)
        return;
    SSL_set_shutdown(ssl, 0);
    if (SSL_get_wbio(ssl) != bio_of_server && BIO_up_ref(bio_of_server))
        SSL_set0_wbio(ssl, bio_of_server);
}

static tls_outcome meet_by_tickets(const minted *server, const minted *client, bool all_displaced)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, server), *client_ctx;
    OSSL_LIB_CTX *libctx;
    tls_outcome outcome;

    client_ctx = tls_ctx_elsewhere(TLS1_3_VERSION, client, &libctx);
    if (all_displaced)
        hostile_displace(server_ctx, HOSTILE_ALL);
    else
        SSL_CTX_set_msg_callback(server_ctx, demand_nothing_and_write_none);
    SSL_CTX_set_info_callback(server_ctx, revive);
    outcome = tls_connect(client_ctx, server_ctx);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    OSSL_LIB_CTX_free(libctx);
    return outcome;
}

/* The handshake itself fails, and so nothing of it can be taken back. */
static void test_tickets(void **state)
{
    tls_outcome outcome = meet_by_tickets(&world.web, NULL, false);

    assert_refused("no certificate", &outcome);
    assert_false(outcome.server_done);
    outcome = meet_by_tickets(&world.web, &world.friend, false);
    assert_talked("a friend", &outcome);
}

/* Find a server that has displaced all others of our callbacks, and demands nothing. An ordinary one goes on. */
static void test_tickets_alone(void **state)
{
    tls_outcome outcome = meet_by_tickets(&world.web, NULL, true);

    assert_refused("no certificate", &outcome);
    assert_false(outcome.server_done);
    outcome = meet_by_tickets(&world.site, NULL, true);
    assert_talked("an ordinary server", &outcome);
}

/* ---- a session of an ordinary server, before SNI makes it a Connect one ---- */

static int switch_ctx(SSL *ssl, int *alert, void *connect_ctx)
{
    SSL_set_SSL_CTX(ssl, connect_ctx);
    return SSL_TLSEXT_ERR_OK;
}

static int displace_message(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                            const unsigned char *in, unsigned int in_len, void *arg)
{
    hostile_displace_on_ssl(ssl, HOSTILE_MESSAGE);
    return SSL_TLSEXT_ERR_NOACK;
}

static int displace_in_client_hello(SSL *ssl, int *alert, void *arg)
{
    hostile_displace_on_ssl(ssl, HOSTILE_SECURITY);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static void resume_before_a_switch(int version, SSL_client_hello_cb_fn on_client_hello)
{
    SSL_CTX *server_ctx = tls_ctx(version, &world.site),
            *connect_ctx = tls_ctx(version, &world.web), *client_ctx = tls_ctx(version, NULL);
    SSL_SESSION *session;
    SSL *client, *server;
    tls_outcome outcome;

    SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT);
    tls_pair(client_ctx, server_ctx, &client, &server);
    outcome = tls_talk(client, server);
    assert_talked("ordinary", &outcome);
    session = SSL_get1_session(client);
    tls_close(client, server);
    SSL_CTX_set_tlsext_servername_callback(server_ctx, switch_ctx);
    SSL_CTX_set_tlsext_servername_arg(server_ctx, connect_ctx);
    if (on_client_hello != NULL) {
        hostile_displace(server_ctx, HOSTILE_MESSAGE);
        SSL_CTX_set_client_hello_cb(server_ctx, on_client_hello, NULL);
    }
    SSL_CTX_set_alpn_select_cb(server_ctx, displace_message, NULL);
    SSL_CTX_set_alpn_select_cb(connect_ctx, displace_message, NULL);
    SSL_CTX_set_alpn_protos(client_ctx, (const unsigned char *)"\002h2", 3);
    tls_pair(client_ctx, server_ctx, &client, &server);
    SSL_set_tlsext_host_name(client, "somewhere.example");
    assert_true(SSL_set_session(client, session));
    outcome = tls_talk(client, server);
    assert_refused("resumed, and switched", &outcome);
    tls_close(client, server);
    SSL_SESSION_free(session);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(connect_ctx);
    SSL_CTX_free(client_ctx);
}

/*
 * The security and client hello callbacks have come before the switch, or are displaced by then. Nothing but the steps and the
 * end are left after it.
 */
static void test_resumed_before_a_switch(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        resume_before_a_switch(tls_versions[v], NULL);
        resume_before_a_switch(tls_versions[v], displace_in_client_hello);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_unset, tls_reset),
        cmocka_unit_test_setup(test_mode_taken_in_each_step, tls_reset),
        cmocka_unit_test_setup(test_wrapped, tls_reset),
        cmocka_unit_test_setup(test_verified_by_the_application, tls_reset),
        cmocka_unit_test(test_signature_of_a_refused_client),
        cmocka_unit_test_setup(test_friend_verified_by_the_application, tls_reset),
        cmocka_unit_test_setup(test_another_verified, tls_reset),
        cmocka_unit_test_setup(test_early, tls_reset),
        cmocka_unit_test_setup(test_tickets, tls_reset),
        cmocka_unit_test_setup(test_tickets_alone, tls_reset),
        cmocka_unit_test_setup(test_resumed_before_a_switch, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
