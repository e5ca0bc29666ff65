/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applications that set the same things as we do. They displace any of them, before SSL_new and in
 * the middle of a handshake. A peer that would not get in without that does not get in.
 */
#include "unit.h"

#include "hostile.h"
#include "tls.h"

/* ---- displacements by applications ---- */

static int verified(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static int accept_all(int ok, X509_STORE_CTX *ctx)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static void displace_security(SSL_CTX *ctx)
{
    SSL_CTX_set_security_callback(ctx, hostile_security);
}

static void displace_client_hello(SSL_CTX *ctx)
{
    SSL_CTX_set_client_hello_cb(ctx, hostile_client_hello, NULL);
}

static void remove_client_hello(SSL_CTX *ctx)
{
    SSL_CTX_set_client_hello_cb(ctx, NULL, NULL);
}

static void displace_message(SSL_CTX *ctx)
{
    SSL_CTX_set_msg_callback(ctx, hostile_message);
}

static void remove_message(SSL_CTX *ctx)
{
    SSL_CTX_set_msg_callback(ctx, NULL);
}

static void displace_not_resumable(SSL_CTX *ctx)
{
    SSL_CTX_set_not_resumable_session_callback(ctx, hostile_not_resumable);
}

static void displace_cert_verify(SSL_CTX *ctx)
{
    SSL_CTX_set_cert_verify_callback(ctx, verified, NULL);
}

static void remove_cert_verify(SSL_CTX *ctx)
{
    SSL_CTX_set_cert_verify_callback(ctx, NULL, NULL);
}

static void verify_none(SSL_CTX *ctx)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
}

static void verify_peer_and_accept(SSL_CTX *ctx)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_all);
}

static void verify_later(SSL_CTX *ctx)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_POST_HANDSHAKE, accept_all);
}

static void verify_once(SSL_CTX *ctx)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, accept_all);
}

static void trust_partial_chains(SSL_CTX *ctx)
{
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), world.stranger.cert);
}

static void tickets_and_cache(SSL_CTX *ctx)
{
    SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_num_tickets(ctx, 2);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_BOTH);
}

static int verify_none_on(SSL *ssl, void *arg)
{
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    return 1;
}

static void verify_none_in_cert_cb(SSL_CTX *ctx)
{
    SSL_CTX_set_cert_cb(ctx, verify_none_on, NULL);
}

static int verify_none_in_hello(SSL *ssl, int *alert, void *arg)
{
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static void verify_none_in_client_hello(SSL_CTX *ctx)
{
    SSL_CTX_set_client_hello_cb(ctx, verify_none_in_hello, NULL);
}

static int verify_none_by_name(SSL *ssl, int *alert, void *arg)
{
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    return SSL_TLSEXT_ERR_OK;
}

static void verify_none_in_servername(SSL_CTX *ctx)
{
    SSL_CTX_set_tlsext_servername_callback(ctx, verify_none_by_name);
}

static void verify_none_on_info(const SSL *ssl, int where, int ret)
{
    SSL_set_verify((SSL *)ssl, SSL_VERIFY_NONE, NULL);
}

static void verify_none_in_info(SSL_CTX *ctx)
{
    SSL_CTX_set_info_callback(ctx, verify_none_on_info);
}

static void verify_none_on_message(int write_p, int version, int content_type, const void *buf,
                                   size_t len, SSL *ssl, void *arg)
{
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
}

static void verify_none_in_message(SSL_CTX *ctx)
{
    SSL_CTX_set_msg_callback(ctx, verify_none_on_message);
}

static void verify_none_in_info_alone(SSL_CTX *ctx)
{
    verify_none_in_info(ctx);
    displace_message(ctx);
}

static void all_but_security(SSL_CTX *ctx)
{
    displace_client_hello(ctx);
    displace_message(ctx);
    displace_not_resumable(ctx);
    displace_cert_verify(ctx);
    verify_none(ctx);
}

static void all_but_client_hello(SSL_CTX *ctx)
{
    displace_security(ctx);
    displace_message(ctx);
    displace_not_resumable(ctx);
    displace_cert_verify(ctx);
    verify_none(ctx);
}

static void all_but_message(SSL_CTX *ctx)
{
    displace_security(ctx);
    displace_client_hello(ctx);
    displace_not_resumable(ctx);
    displace_cert_verify(ctx);
    verify_none(ctx);
}

static void all_but_not_resumable(SSL_CTX *ctx)
{
    displace_security(ctx);
    displace_client_hello(ctx);
    displace_message(ctx);
    displace_cert_verify(ctx);
    verify_none(ctx);
}

static void all_but_cert_verify(SSL_CTX *ctx)
{
    displace_security(ctx);
    displace_client_hello(ctx);
    displace_message(ctx);
    displace_not_resumable(ctx);
    verify_none(ctx);
}

static void all_but_cert_verify_asking(SSL_CTX *ctx)
{
    all_but_cert_verify(ctx);
    verify_peer_and_accept(ctx);
}

static void all_asking(SSL_CTX *ctx)
{
    all_but_cert_verify(ctx);
    displace_cert_verify(ctx);
    verify_peer_and_accept(ctx);
}

static void all_demanding(SSL_CTX *ctx)
{
    all_but_cert_verify(ctx);
    displace_cert_verify(ctx);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_all);
}

static void all_not_asking(SSL_CTX *ctx)
{
    all_but_cert_verify(ctx);
    displace_cert_verify(ctx);
}

typedef struct displacement {
    const char *name;
    void (*apply)(SSL_CTX *ctx);
} displacement;

#define ROW(function)       \
    {                       \
#function, function \
    }

static const displacement displacements[] = {
    ROW(displace_security),
    ROW(displace_client_hello),
    ROW(remove_client_hello),
    ROW(displace_message),
    ROW(remove_message),
    ROW(displace_not_resumable),
    ROW(displace_cert_verify),
    ROW(remove_cert_verify),
    ROW(verify_none),
    ROW(verify_peer_and_accept),
    ROW(verify_later),
    ROW(verify_once),
    ROW(trust_partial_chains),
    ROW(tickets_and_cache),
    ROW(verify_none_in_cert_cb),
    ROW(verify_none_in_client_hello),
    ROW(verify_none_in_servername),
    ROW(verify_none_in_info),
    ROW(verify_none_in_message),
    ROW(verify_none_in_info_alone),
    ROW(all_but_security),
    ROW(all_but_client_hello),
    ROW(all_but_message),
    ROW(all_but_not_resumable),
    ROW(all_demanding),
};

/*
 * Displacements that leave no place to us but the verification, and the info callback of the context. A server that displaces
 * this one, too, and asks for no certificate has nothing to verify. No library can prevent that in its own process (SECURITY.md).
 */
static const displacement total_displacements[] = {
    ROW(all_but_cert_verify),
    ROW(all_but_cert_verify_asking),
    ROW(all_asking),
    ROW(all_not_asking),
};

#define COUNT (sizeof(displacements) / sizeof(displacements[0]))

static tls_outcome talk(int version, const minted *client, const displacement *on_client,
                        const minted *server, const displacement *on_server)
{
    SSL_CTX *server_ctx = tls_ctx(version, server), *client_ctx = tls_ctx(version, client);
    tls_outcome outcome;

    /* Without tickets, a displacement has little to do by itself. */
    SSL_CTX_set_options(client_ctx, SSL_OP_NO_TICKET);
    if (on_client != NULL)
        on_client->apply(client_ctx);
    if (on_server != NULL)
        on_server->apply(server_ctx);
    outcome = tls_connect(client_ctx, server_ctx);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

static int failures;

/* Note a failure, and go on: one run tells all rows that are open. */
static void note(bool ok, int version, const char *row, const char *what,
                 const tls_outcome *outcome)
{
    if (ok)
        return;
    failures++;
    print_error("%s, %s: %s\nclient: %s\nserver: %s\n", row,
                version == TLS1_2_VERSION ? "TLS 1.2" : "TLS 1.3", what, outcome->client_errors,
                outcome->server_errors);
}

static bool is_silent(const tls_outcome *outcome)
{
    return !outcome->server_got && !outcome->client_got;
}

static bool has_talked(const tls_outcome *outcome)
{
    return outcome->server_got && outcome->client_got;
}

/* The table is about displacing and not about breaking: without a leaf, all of it works. */
static void test_ordinary_servers(void **state)
{
    size_t i, v;

    failures = 0;
    for (i = 0; i < COUNT; i++) {
        for (v = 0; v < 2; v++) {
            tls_outcome outcome = talk(tls_versions[v], NULL, NULL, &world.site, &displacements[i]);
            bool demands = displacements[i].apply == all_demanding;

            note(has_talked(&outcome) != demands, tls_versions[v], displacements[i].name,
                 "an ordinary server", &outcome);
        }
    }
    assert_int_equal(failures, 0);
    assert_int_equal(http_server_requests(world.agent.server), 0);
}

static void try_to_get_in(const displacement *row)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        int version = tls_versions[v];
        tls_outcome outcome = talk(version, NULL, NULL, &world.web, row);

        note(is_silent(&outcome), version, row->name, "a client without a certificate got in",
             &outcome);
        outcome = talk(version, &world.site, NULL, &world.web, row);
        note(is_silent(&outcome), version, row->name, "a stranger got in", &outcome);
        world.agent.allow = false;
        outcome = talk(version, &world.friend, NULL, &world.web, row);
        note(is_silent(&outcome), version, row->name, "a denied client got in", &outcome);
        world.agent.allow = true;
    }
}

static void test_servers(void **state)
{
    size_t i;

    failures = 0;
    for (i = 0; i < COUNT; i++)
        try_to_get_in(&displacements[i]);
    assert_int_equal(failures, 0);
}

/* The info callback of the context is left, and no other that comes without a client's certificate. */
static void test_servers_totally_displaced(void **state)
{
    size_t i, v;

    failures = 0;
    for (i = 0; i < sizeof(total_displacements) / sizeof(total_displacements[0]); i++) {
        try_to_get_in(&total_displacements[i]);
        for (v = 0; v < 2; v++) {
            tls_outcome outcome =
                talk(tls_versions[v], &world.friend, NULL, &world.web, &total_displacements[i]);

            note(has_talked(&outcome), tls_versions[v], total_displacements[i].name,
                 "a friend did not get in", &outcome);
        }
    }
    assert_int_equal(failures, 0);
}

static void test_clients(void **state)
{
    size_t i, v;

    failures = 0;
    for (i = 0; i < COUNT; i++) {
        for (v = 0; v < 2; v++) {
            int version = tls_versions[v];
            tls_outcome outcome =
                talk(version, &world.friend, &displacements[i], &world.site, NULL);

            note(is_silent(&outcome), version, displacements[i].name,
                 "an ordinary server was talked to", &outcome);
            outcome = talk(version, &world.friend, &displacements[i], &world.stranger, NULL);
            note(is_silent(&outcome), version, displacements[i].name, "an impostor was talked to",
                 &outcome);
        }
    }
    assert_int_equal(failures, 0);
}

/* A client always verifies something, so that there the last place holds. */
static void test_clients_totally_displaced(void **state)
{
    size_t i, v;

    failures = 0;
    for (i = 0; i < sizeof(total_displacements) / sizeof(total_displacements[0]); i++) {
        for (v = 0; v < 2; v++) {
            const displacement *row = &total_displacements[i];
            tls_outcome outcome = talk(tls_versions[v], &world.friend, row, &world.stranger, NULL);

            note(is_silent(&outcome), tls_versions[v], row->name, "an impostor was talked to",
                 &outcome);
        }
    }
    assert_int_equal(failures, 0);
}

/* ---- a leaf that comes in the handshake ---- */

static SSL_CTX *late; /* of a server that has the leaf from the start */

static int give_leaf(SSL *ssl, void *arg)
{
    return SSL_use_certificate(ssl, world.web.cert) == 1
           && SSL_use_PrivateKey(ssl, world.web.key) == 1;
}

static int verify_none_and_give_leaf(SSL *ssl, void *arg)
{
    return verify_none_on(ssl, arg) && give_leaf(ssl, arg);
}

static int give_leaf_and_verify_none(SSL *ssl, void *arg)
{
    return give_leaf(ssl, arg) && verify_none_on(ssl, arg);
}

static int change_context(SSL *ssl, void *arg)
{
    return verify_none_on(ssl, arg) && SSL_set_SSL_CTX(ssl, late) != NULL;
}

/*
 * The server learns in its certificate callback that it is governed. The application has left one of our callbacks, or that for info.
 */
static void test_leaf_given_late(void **state)
{
    static const displacement rows[] = {ROW(all_but_security), ROW(all_but_client_hello),
                                        ROW(all_but_message), ROW(all_but_not_resumable),
                                        ROW(all_not_asking)};
    enum { COUNT_OF_ROWS = sizeof(rows) / sizeof(rows[0]) };
    static const struct {
        const char *what;
        int (*apply)(SSL *, void *);
    } ways[] = {
        {"a leaf given late let a stranger in", verify_none_and_give_leaf},
        {"a leaf given late, before the mode, let a stranger in", give_leaf_and_verify_none},
        {"a late context let a stranger in", change_context}};
    size_t i, v, way, own;

    failures = 0;
    for (i = 0; i < COUNT_OF_ROWS * 3 * 2 * 2; i++) {
        const displacement *row = &rows[i % COUNT_OF_ROWS];
        SSL_CTX *server, *client;
        tls_outcome outcome;

        way = i / COUNT_OF_ROWS % 3, own = i / COUNT_OF_ROWS / 3 % 2, v = i / COUNT_OF_ROWS / 6;
        server = tls_ctx(tls_versions[v], own ? &world.site : NULL);
        client = tls_ctx(tls_versions[v], NULL);
        late = tls_ctx(tls_versions[v], &world.web);
        row->apply(server);
        row->apply(late);
        SSL_CTX_set_cert_cb(server, ways[way].apply, NULL);
        outcome = tls_connect(client, server);
        note(is_silent(&outcome), tls_versions[v], row->name, ways[way].what, &outcome);
        SSL_CTX_free(late);
        SSL_CTX_free(server);
        SSL_CTX_free(client);
    }
    assert_int_equal(failures, 0);
}

/* Where security and verification are left, the leaf is known in time, and a friend gets in. */
static void test_leaf_given_late_for_a_friend(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server = tls_ctx(tls_versions[v], NULL);
        SSL_CTX *client = tls_ctx(tls_versions[v], &world.friend);
        tls_outcome outcome;

        displace_client_hello(server);
        displace_message(server);
        displace_not_resumable(server);
        SSL_CTX_set_cert_cb(server, give_leaf, NULL);
        outcome = tls_connect(client, server);
        assert_talked("a friend of a leaf given late", &outcome);
        SSL_CTX_free(server);
        SSL_CTX_free(client);
    }
}

/* ---- a mode that is taken back once, after the certificate was chosen ---- */

static int none_and_resume(SSL *ssl, int is_forward_secure)
{
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    return 0;
}

static void all_but_security_and_none(SSL_CTX *ctx)
{
    all_but_security(ctx);
    SSL_CTX_set_not_resumable_session_callback(ctx, none_and_resume);
}

static int none_by_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                        const unsigned char *in, unsigned int in_len, void *arg)
{
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static void displace_message_and_none(SSL_CTX *ctx)
{
    displace_message(ctx);
    SSL_CTX_set_alpn_select_cb(ctx, none_by_alpn, NULL);
}

static void test_mode_taken_back(void **state)
{
    static const displacement rows[] = {ROW(all_but_security_and_none),
                                        ROW(displace_message_and_none)};
    minted stand_in = mint_stand_in("consul:leaf/web");
    const minted *const servers[] = {&world.web, &stand_in};
    size_t i;

    failures = 0;
    for (i = 0; i < 2 * 2 * 2; i++) {
        const displacement *row = &rows[i % 2];
        int version = tls_versions[i / 4];
        SSL_CTX *server = tls_ctx(version, servers[i / 2 % 2]), *client = tls_ctx(version, NULL);
        tls_outcome outcome;

        row->apply(server);
        SSL_CTX_set_alpn_protos(client, (const unsigned char *)"\002h2", 3);
        outcome = tls_connect(client, server);
        note(is_silent(&outcome), version, row->name,
             i / 2 % 2 == 0 ? "with a leaf, a stranger got in"
                            : "with a stand-in, a stranger got in",
             &outcome);
        SSL_CTX_free(server);
        SSL_CTX_free(client);
    }
    assert_int_equal(failures, 0);
    minted_free(&stand_in);
}

/* Where our verification is left in its place, a displacement does no harm to allowed peers. */
static void test_friends(void **state)
{
    size_t i, v;

    failures = 0;
    for (i = 0; i < COUNT; i++) {
        if (strncmp(displacements[i].name, "all", 3) == 0
            || strstr(displacements[i].name, "cert_verify") != NULL)
            continue;
        for (v = 0; v < 2; v++) {
            tls_outcome outcome =
                talk(tls_versions[v], &world.friend, NULL, &world.web, &displacements[i]);

            note(has_talked(&outcome), tls_versions[v], displacements[i].name,
                 "a friend was refused", &outcome);
        }
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_ordinary_servers, tls_reset),
        cmocka_unit_test_setup(test_servers, tls_reset),
        cmocka_unit_test_setup(test_servers_totally_displaced, tls_reset),
        cmocka_unit_test_setup(test_clients, tls_reset),
        cmocka_unit_test_setup(test_clients_totally_displaced, tls_reset),
        cmocka_unit_test_setup(test_leaf_given_late, tls_reset),
        cmocka_unit_test_setup(test_leaf_given_late_for_a_friend, tls_reset),
        cmocka_unit_test_setup(test_mode_taken_back, tls_reset),
        cmocka_unit_test_setup(test_friends, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
