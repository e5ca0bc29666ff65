/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The callback for verifications refuses the server of a client without a demand for verification. libssl does not heed
 * it, and neither does the provider. Ruby's clients look for a host name there.
 */
#include "unit.h"

#include <openssl/x509v3.h>

#include "tls.h"

static int calls; /* of the callback with a refusal */

static int refuse(int ok, X509_STORE_CTX *ctx)
{
    calls++;
    X509_STORE_CTX_set_error(ctx, X509_V_ERR_HOSTNAME_MISMATCH);
    return 0;
}

/* Refuse, and demand a verification from here on. */
static int refuse_in_earnest(int ok, X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());

    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    return refuse(ok, ctx);
}

/* Refuse, and demand nothing from here on. */
static int refuse_and_ask_no_more(int ok, X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());

    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    return refuse(ok, ctx);
}

typedef int verify_cb(int ok, X509_STORE_CTX *ctx);

/* Connect to a server without the provider. `own` is NULL for a client that is governed by its server alone. */
static tls_outcome dial(int version, const minted *shown, const minted *own, int mode,
                        verify_cb *callback, long *result)
{
    OSSL_LIB_CTX *libctx;
    SSL_CTX *server_ctx = tls_ctx_elsewhere(version, shown, &libctx);
    SSL_CTX *client_ctx = tls_ctx(version, own);
    tls_outcome outcome;
    SSL *client, *server;

    SSL_CTX_set_verify(client_ctx, mode, callback);
    tls_pair_with(client_ctx, server_ctx, libctx, false, &client, &server);
    outcome = tls_talk(client, server);
    *result = SSL_get_verify_result(client);
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    OSSL_LIB_CTX_free(libctx);
    return outcome;
}

static const minted *const owns[] = {NULL, &world.friend};

/* The result stays the callback's, for an application that asks for it later. */
static void test_a_refusal_in_vain(void **state)
{
    tls_outcome outcome;
    long result;
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < 2; i++) {
            calls = 0;
            outcome = dial(tls_versions[v], &world.web, owns[i], SSL_VERIFY_NONE, refuse, &result);
            assert_talked("a server of the mesh", &outcome);
            assert_int_equal(calls, 1); /* the first refusal is the last word to OpenSSL */
            assert_int_equal(result, X509_V_ERR_HOSTNAME_MISMATCH);
        }
    }
}

static void test_a_refusal_that_counts(void **state)
{
    tls_outcome outcome;
    long result;
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < 2; i++) {
            outcome = dial(tls_versions[v], &world.web, owns[i], SSL_VERIFY_PEER, refuse, &result);
            assert_refused("a demanded verification", &outcome);
            assert_contains(outcome.client_errors, "peer refused by the application");
            outcome = dial(tls_versions[v], &world.web, owns[i], SSL_VERIFY_NONE, refuse_in_earnest,
                           &result);
            assert_refused("a verification that its callback demands", &outcome);
            assert_contains(outcome.client_errors, "peer refused by the application");
        }
    }
}

/* The provider's own refusal counts, whatever the callback says of it. */
static void test_another_peer_is_refused(void **state)
{
    tls_outcome outcome;
    long result;
    size_t v;

    for (v = 0; v < 2; v++) {
        outcome =
            dial(tls_versions[v], &world.stranger, &world.friend, SSL_VERIFY_NONE, refuse, &result);
        assert_refused("a stranger", &outcome);
        assert_contains(outcome.client_errors, "not trusted by the Consul roots");
    }
}

/* A server that demands nothing does not call its callback without the provider. There a refusal counts. */
static void test_a_server_is_heeded(void **state)
{
    static verify_cb *const ways[] = {refuse, refuse_and_ask_no_more};
    size_t i;

    for (i = 0; i < 4; i++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[i / 2], &world.web);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[i / 2], &world.friend);
        tls_outcome outcome;

        SSL_CTX_set_verify(server_ctx, SSL_VERIFY_NONE, ways[i % 2]);
        outcome = tls_connect(client_ctx, server_ctx);
        assert_refused("a server's callback", &outcome);
        assert_contains(outcome.server_errors, "peer refused by the application");
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
}

static int set_up(void **state)
{
    return tls_set_up_as("service = web");
}

static int reset(void **state)
{
    int result = tls_reset(state);

    fake_agent_set_leaf(&world.agent, &world.web);
    return result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_refusal_in_vain, reset),
        cmocka_unit_test_setup(test_a_refusal_that_counts, reset),
        cmocka_unit_test_setup(test_another_peer_is_refused, reset),
        cmocka_unit_test_setup(test_a_server_is_heeded, reset),
    };

    return cmocka_run_group_tests(tests, set_up, tls_tear_down);
}
