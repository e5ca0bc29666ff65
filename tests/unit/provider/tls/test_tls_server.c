/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS server with a Connect leaf as its certificate, and the clients that get in. */
#include "unit.h"

#include <stdio.h>

#include <openssl/x509v3.h>

#include "tls.h"

/* Connect to a server that asks for nothing by itself, as an application that knows of no mesh. */
static tls_outcome serve(int version, const minted *client)
{
    SSL_CTX *server_ctx = tls_ctx(version, &world.web), *client_ctx = tls_ctx(version, client);
    tls_outcome outcome = tls_connect(client_ctx, server_ctx);

    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

static void test_allowed(void **state)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        tls_outcome outcome;

        tls_reset(state);
        outcome = serve(tls_versions[i], &world.friend);
        assert_talked("allowed", &outcome);
        assert_string_equal(outcome.server_errors, "");
        assert_string_equal(outcome.client_errors, "");
        assert_int_equal(world.agent.questions, 1);
        assert_contains(world.agent.last_question, "\"Target\":\"web\"");
        assert_contains(world.agent.last_question, "\"ClientCertURI\":\"" SERVICE("friend") "\"");
    }
}

static void test_serial_of_the_verified_certificate(void **state)
{
    minted peer = mint(
        &world.ca, (mint_order){.serial = 0x0102abcd, .names = {{GEN_URI, SERVICE("friend"), 0}}});
    tls_outcome outcome = serve(TLS1_3_VERSION, &peer);

    assert_talked("serial", &outcome);
    assert_contains(world.agent.last_question, "\"ClientCertSerial\":\"01:02:ab:cd\"");
    minted_free(&peer);
}

static void test_denied(void **state)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        tls_outcome outcome;

        tls_reset(state);
        world.agent.allow = false;
        outcome = serve(tls_versions[i], &world.friend);
        assert_refused("denied", &outcome);
        assert_contains(outcome.server_errors, "peer denied by Consul: client refused: ");
        assert_contains(outcome.server_errors, SERVICE("friend"));
        assert_contains(outcome.client_errors, "alert"); /* and not a bare close */
        assert_int_equal(world.agent.questions, 1);
    }
}

static void test_no_certificate(void **state)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        tls_outcome outcome = serve(tls_versions[i], NULL);

        assert_refused("no certificate", &outcome);
        assert_contains(outcome.server_errors, "peer did not return a certificate");
        assert_contains(outcome.client_errors, "alert");
    }
    assert_int_equal(world.agent.questions, 0);
}

#define URI(text) .names = {{GEN_URI, text, 0}}

/* Clients without a service: the agent is not even asked. */
static const struct {
    const char *name;
    mint_order order;
    const minted *issuer; /* NULL: self-signed */
    const char *error;
} imposters[] = {
    {"foreign CA", {URI(SERVICE("friend"))}, &world.foreign_ca, "not trusted by the Consul roots"},
    {"self-signed", {URI(SERVICE("friend"))}, NULL, "not trusted by the Consul roots"},
    {"ordinary", {.subject = "site"}, NULL, "not trusted by the Consul roots"},
    {"expired",
     {URI(SERVICE("friend")), .not_before = -MINT_DAY, .not_after = -60},
     &world.ca,
     "certificate has expired"},
    {"not yet valid",
     {URI(SERVICE("friend")), .not_before = 3600, .not_after = MINT_DAY},
     &world.ca,
     "certificate is not yet valid"},
    {"servers only",
     {URI(SERVICE("friend")), .ext_key_usage = "serverAuth"},
     &world.ca,
     "not trusted by the Consul roots"},
    {"other trust domain",
     {URI("spiffe://" OTHER_TD "/ns/default/dc/dc1/svc/friend")},
     &world.ca,
     "peer is not a Connect service: client refused: its trust domain"},
    {"gateway", {URI("spiffe://" TD "/gateway/mesh/dc/dc1")}, &world.ca, "not a Connect service"},
    {"agent",
     {URI("spiffe://" TD "/agent/client/dc/dc1/id/1")},
     &world.ca,
     "not a Connect service"},
    {"no name", {.subject = "friend"}, &world.ca, "not a Connect service"},
    {"DNS name", {.names = {{GEN_DNS, "friend", 0}}}, &world.ca, "not a Connect service"},
    {"two URIs",
     {.names = {{GEN_URI, SERVICE("friend"), 0}, {GEN_URI, SERVICE("other"), 0}}},
     &world.ca,
     "not a Connect service"},
    {"percent-encoded", {URI(SERVICE("frien%64"))}, &world.ca, "not a Connect service"},
    {"embedded NUL",
     {.names = {{GEN_URI, SERVICE("friend") "\0x", sizeof(SERVICE("friend")) + 1}}},
     &world.ca,
     "not a Connect service"},
    {"a CA", {URI(SERVICE("friend")), .ca = true}, &world.ca, "client refused"},
};

static void test_imposters(void **state)
{
    size_t i, v;

    for (i = 0; i < sizeof(imposters) / sizeof(imposters[0]); i++) {
        minted peer = mint(imposters[i].issuer, imposters[i].order);

        for (v = 0; v < 2; v++) {
            tls_outcome outcome = serve(tls_versions[v], &peer);

            assert_refused(imposters[i].name, &outcome);
            if (strstr(outcome.server_errors, imposters[i].error) == NULL)
                fail_msg("%s: %s", imposters[i].name, outcome.server_errors);
            assert_contains(outcome.client_errors, "alert");
        }
        minted_free(&peer);
    }
    assert_int_equal(world.agent.questions, 0);
}

/* ---- chains and roots ---- */

static void test_intermediate(void **state)
{
    minted inner = mint(&world.ca, (mint_order){.subject = "inner", .ca = true});
    minted peer = mint_leaf(&inner, TD, "friend");
    size_t i;

    for (i = 0; i < 2; i++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[i], &world.web);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[i], &peer);
        tls_outcome outcome = tls_connect(client_ctx, server_ctx);

        assert_refused("intermediate missing", &outcome);
        assert_true(SSL_CTX_add1_chain_cert(client_ctx, inner.cert));
        outcome = tls_connect(client_ctx, server_ctx);
        assert_talked("intermediate", &outcome);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
    minted_free(&peer);
    minted_free(&inner);
}

/* Each handshake goes by the roots that are listed then, on the same context. */
static void test_roots_change(void **state)
{
    minted new_web = mint_leaf(&world.foreign_ca, TD, "web");
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &new_web);
    SSL_CTX *old_client = tls_ctx(TLS1_3_VERSION, &world.friend);
    SSL_CTX *new_client = tls_ctx(TLS1_3_VERSION, &world.stranger);
    tls_outcome outcome;

    fake_agent_reset(&world.agent, TD, &world.ca, &world.foreign_ca);
    outcome = tls_connect(old_client, server_ctx);
    assert_talked("both roots, old client", &outcome);
    outcome = tls_connect(new_client, server_ctx);
    assert_talked("both roots, new client", &outcome);

    fake_agent_reset(&world.agent, TD, &world.foreign_ca, NULL);
    outcome = tls_connect(old_client, server_ctx);
    assert_refused("old root withdrawn, old client", &outcome);
    assert_contains(outcome.server_errors, "not trusted by the Consul roots");
    outcome = tls_connect(new_client, server_ctx);
    assert_talked("old root withdrawn, new client", &outcome);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(old_client);
    SSL_CTX_free(new_client);
    minted_free(&new_web);
}

/* A leaf of a trust domain that is no longer is no identity to be connected to. */
static void test_own_leaf_of_another_trust_domain(void **state)
{
    minted peer = mint_leaf(&world.ca, OTHER_TD, "friend");
    tls_outcome outcome;

    fake_agent_reset(&world.agent, OTHER_TD, &world.ca, NULL);
    outcome = serve(TLS1_2_VERSION, &peer);
    assert_refused("old leaf", &outcome);
    assert_int_equal(world.agent.questions, 0);
    minted_free(&peer);
}

/* The agent cannot be asked about a leaf that names no service, or several. */
static void test_own_leaf_without_an_identity(void **state)
{
    static const mint_order orders[] = {
        {URI(SERVICE("frien%64"))},
        {.names = {{GEN_URI, SERVICE("web"), 0}, {GEN_URI, SERVICE("other"), 0}}}};
    size_t i, v;

    for (i = 0; i < 2; i++) {
        minted own = mint(&world.ca, orders[i]);

        for (v = 0; v < 2; v++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &own);
            OSSL_LIB_CTX *libctx; /* a client of ours would refuse such a server */
            SSL_CTX *client_ctx = tls_ctx_elsewhere(tls_versions[v], &world.friend, &libctx);
            SSL *client, *server;
            tls_outcome outcome;

            tls_pair_with(client_ctx, server_ctx, libctx, true, &client, &server);
            outcome = tls_talk(client, server);
            tls_close(client, server);
            assert_refused("no identity", &outcome);
            assert_contains(outcome.server_errors, "own certificate");
            assert_int_equal(world.agent.questions, 0);
            SSL_CTX_free(server_ctx);
            SSL_CTX_free(client_ctx);
            OSSL_LIB_CTX_free(libctx);
        }
        minted_free(&own);
    }
}

static void test_trust_domain_has_no_case(void **state)
{
    minted peer = mint(
        &world.ca,
        (mint_order){URI(
            "spiffe://11111111-2222-3333-4444-555555555555.CONSUL/ns/default/dc/dc1/svc/friend")});
    tls_outcome outcome;

    fake_agent_reset(&world.agent, "11111111-2222-3333-4444-555555555555.Consul", &world.ca, NULL);
    outcome = serve(TLS1_3_VERSION, &peer);
    assert_talked("case", &outcome);
    minted_free(&peer);
}

/* ---- the application's view ---- */

static int calls, calls_with_error, answer;

static int on_verify(int ok, X509_STORE_CTX *ctx)
{
    calls++;
    calls_with_error += !ok || X509_STORE_CTX_get_error(ctx) != X509_V_OK;
    assert_non_null(X509_STORE_CTX_get_current_cert(ctx));
    return answer;
}

static tls_outcome serve_with_callback(int version, const minted *client, int its_answer)
{
    SSL_CTX *server_ctx = tls_ctx(version, &world.web), *client_ctx = tls_ctx(version, client);
    tls_outcome outcome;

    calls = calls_with_error = 0;
    answer = its_answer;
    SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER, on_verify);
    outcome = tls_connect(client_ctx, server_ctx);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

/* The application's verify callback hears of it; it can refuse, and not accept. */
static void test_verify_callback(void **state)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        int version = tls_versions[i];
        tls_outcome outcome;
        int again;

        for (again = 0; again < 2; again++) { /* also where the chain's signatures are known */
            outcome = serve_with_callback(version, &world.friend, 1);
            assert_talked("callback accepts", &outcome);
            assert_int_equal(calls, 2); /* root and leaf */
            assert_int_equal(calls_with_error, 0);
        }

        outcome = serve_with_callback(version, &world.friend, 0);
        assert_refused("callback refuses", &outcome);
        assert_contains(outcome.server_errors, "peer refused by the application");

        outcome = serve_with_callback(version, &world.stranger, 1);
        assert_refused("callback accepts a stranger", &outcome);
        assert_int_equal(calls, 1);
        assert_int_equal(calls_with_error, 1);

        world.agent.allow = false;
        outcome = serve_with_callback(version, &world.friend, 1);
        assert_refused("callback accepts a denied client", &outcome);
        assert_int_equal(calls_with_error, 1);
        world.agent.allow = true;
    }
}

static int on_verify_all_is_well(int ok, X509_STORE_CTX *ctx)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

/* An application that looks at the result of a refused client finds no success. */
static void test_a_callback_that_forgives(void **state)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[i], &world.web);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[i], &world.stranger);
        SSL *client, *server;
        tls_outcome outcome;

        SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER, on_verify_all_is_well);
        tls_pair(client_ctx, server_ctx, &client, &server);
        outcome = tls_talk(client, server);
        assert_refused("a callback that forgives", &outcome);
        assert_int_not_equal(SSL_get_verify_result(server), X509_V_OK);
        tls_close(client, server);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
}

/* The agent knows services by their names alone. It is not asked about a service of another mesh. */
static void test_a_leaf_of_another_mesh(void **state)
{
    minted web = mint_leaf(&world.ca, OTHER_TD, "web");
    size_t i;

    for (i = 0; i < 2; i++) {
        OSSL_LIB_CTX *libctx;
        SSL_CTX *server_ctx = tls_ctx(tls_versions[i], &web);
        SSL_CTX *client_ctx = tls_ctx_elsewhere(tls_versions[i], &world.friend, &libctx);
        SSL *client, *server;
        tls_outcome outcome;

        SSL_CTX_set_verify(client_ctx, SSL_VERIFY_NONE, NULL);
        tls_pair_with(client_ctx, server_ctx, libctx, true, &client, &server);
        outcome = tls_talk(client, server);
        assert_refused("a leaf of another mesh", &outcome);
        assert_contains(outcome.server_errors, "is not in the trust domain \"" TD "\"");
        tls_close(client, server);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
        OSSL_LIB_CTX_free(libctx);
    }
    assert_int_equal(world.agent.questions, 0);
    minted_free(&web);
}

/* After a handshake, the application finds the peer as after any verified one. */
static void test_verified_peer_is_there(void **state)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[i], &world.web);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[i], &world.friend);
        SSL *client, *server;
        tls_outcome outcome;

        tls_pair(client_ctx, server_ctx, &client, &server);
        outcome = tls_talk(client, server);
        assert_talked("peer", &outcome);
        assert_int_equal(SSL_get_verify_result(server), X509_V_OK);
        assert_int_equal(SSL_get_verify_result(client), X509_V_OK);
        assert_int_equal(X509_cmp(SSL_get0_peer_certificate(server), world.friend.cert), 0);
        assert_int_equal(X509_cmp(SSL_get0_peer_certificate(client), world.web.cert), 0);
        assert_int_equal(sk_X509_num(SSL_get0_verified_chain(server)), 2);
        assert_int_equal(sk_X509_num(SSL_get0_verified_chain(client)), 2);
        tls_close(client, server);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
}

/* Return the number of CAs that a server with two CAs of its own names to its clients. */
static int named_authorities(int version, const minted *own)
{
    SSL_CTX *server_ctx = tls_ctx(version, own), *client_ctx = tls_ctx(version, NULL);
    const STACK_OF(X509_NAME) *named;
    SSL *client, *server;
    int count;

    SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER, NULL);
    assert_true(SSL_CTX_add1_to_CA_list(server_ctx, world.site.cert));
    assert_true(SSL_CTX_add_client_CA(server_ctx, world.site.cert));
    tls_pair(client_ctx, server_ctx, &client, &server);
    tls_talk(client, server);
    named = SSL_get0_peer_CA_list(client);
    count = named == NULL ? 0 : sk_X509_NAME_num(named);
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return count;
}

/* Some clients send no certificate of a CA that is not named. The application does not name the mesh's CA. */
static void test_no_authorities_are_named(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        assert_true(named_authorities(tls_versions[v], &world.site) > 0);
        assert_int_equal(named_authorities(tls_versions[v], &world.web), 0);
    }
}

/* CAs that the application trusts are not the mesh's. */
static void test_the_applications_store_decides_nothing(void **state)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[i], &world.web);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[i], &world.stranger);
        tls_outcome outcome;

        SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER, NULL);
        assert_true(X509_STORE_add_cert(SSL_CTX_get_cert_store(server_ctx), world.foreign_ca.cert));
        outcome = tls_connect(client_ctx, server_ctx);
        assert_refused("a CA of the application's", &outcome);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
    assert_int_equal(world.agent.questions, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_allowed, tls_reset),
        cmocka_unit_test_setup(test_serial_of_the_verified_certificate, tls_reset),
        cmocka_unit_test_setup(test_denied, tls_reset),
        cmocka_unit_test_setup(test_no_certificate, tls_reset),
        cmocka_unit_test_setup(test_imposters, tls_reset),
        cmocka_unit_test_setup(test_intermediate, tls_reset),
        cmocka_unit_test_setup(test_roots_change, tls_reset),
        cmocka_unit_test_setup(test_own_leaf_of_another_trust_domain, tls_reset),
        cmocka_unit_test_setup(test_own_leaf_without_an_identity, tls_reset),
        cmocka_unit_test_setup(test_trust_domain_has_no_case, tls_reset),
        cmocka_unit_test_setup(test_verify_callback, tls_reset),
        cmocka_unit_test_setup(test_a_callback_that_forgives, tls_reset),
        cmocka_unit_test_setup(test_a_leaf_of_another_mesh, tls_reset),
        cmocka_unit_test_setup(test_verified_peer_is_there, tls_reset),
        cmocka_unit_test_setup(test_no_authorities_are_named, tls_reset),
        cmocka_unit_test_setup(test_the_applications_store_decides_nothing, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
