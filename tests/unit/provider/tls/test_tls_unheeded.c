/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client refuses its server, in the callback for verifications or in the place of OpenSSL. Where it demands no
 * verification, libssl does not heed it, and neither does the provider. Ruby's clients look for a host name there.
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

/* Verify in the place of OpenSSL, and refuse. */
static int refuse_in_its_place(X509_STORE_CTX *ctx, void *arg)
{
    return refuse(0, ctx);
}

typedef int verify_cb(int ok, X509_STORE_CTX *ctx);

/* A client's mode and callback, and whether it verifies in the place of OpenSSL. */
typedef struct way {
    int on_ctx, on_ssl; /* -1 keeps the context's */
    verify_cb *callback;
    bool in_its_place, demands;
} way;

/* Connect to a server without the provider. `own` is NULL for a client that is governed by its server alone. */
static tls_outcome dial(int version, const minted *shown, const minted *own, const way *how,
                        long *result)
{
    OSSL_LIB_CTX *libctx;
    SSL_CTX *server_ctx = tls_ctx_elsewhere(version, shown, &libctx);
    SSL_CTX *client_ctx = tls_ctx(version, NULL);
    tls_outcome outcome;
    SSL *client, *server;

    if (how->in_its_place)
        SSL_CTX_set_cert_verify_callback(client_ctx, refuse_in_its_place, NULL);
    SSL_CTX_set_verify(client_ctx, how->on_ctx, how->callback);
    tls_pair_with(client_ctx, server_ctx, libctx, false, &client, &server);
    if (own != NULL) { /* governed from here on */
        assert_true(SSL_use_certificate(client, own->cert));
        assert_true(SSL_use_PrivateKey(client, own->key));
    }
    if (how->on_ssl >= 0)
        SSL_set_verify(client, how->on_ssl, how->callback);
    outcome = tls_talk(client, server);
    *result = SSL_get_verify_result(client);
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    OSSL_LIB_CTX_free(libctx);
    return outcome;
}

static const minted *const owns[] = {NULL, &world.friend};

/*
 * A refusal counts where the application demands a verification, or its callback does. A peer that the provider refuses is
 * refused in any mode. The result stays the callback's, for an application that asks for it later.
 */
static void test_refusals(void **state)
{
    static const int demand = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    const way ways[] = {
        {SSL_VERIFY_NONE, -1, refuse, .demands = false},
        {SSL_VERIFY_PEER, -1, refuse, .demands = true},
        {SSL_VERIFY_NONE, -1, refuse_in_earnest, .demands = true},
        {SSL_VERIFY_NONE, -1, .in_its_place = true},
        {SSL_VERIFY_PEER, -1, .in_its_place = true, .demands = true},
        {SSL_VERIFY_PEER, SSL_VERIFY_NONE, .in_its_place = true},
        {SSL_VERIFY_PEER, SSL_VERIFY_NONE, refuse, .demands = false},
        {SSL_VERIFY_NONE, SSL_VERIFY_PEER, .in_its_place = true, .demands = true},
        {SSL_VERIFY_NONE, demand, .in_its_place = true, .demands = true},
    };
    tls_outcome outcome;
    long result;
    size_t v, i, k;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
            for (k = 0; k < 2; k++) {
                calls = 0;
                outcome = dial(tls_versions[v], &world.web, owns[k], &ways[i], &result);
                if (ways[i].demands) {
                    assert_refused("a service", &outcome);
                    if (!ways[i].in_its_place)
                        assert_contains(outcome.client_errors, "peer refused by the application");
                } else {
                    assert_talked("a service", &outcome);
                    assert_int_equal(calls, 1); /* the first refusal is the last word to OpenSSL */
                    assert_int_equal(result, X509_V_ERR_HOSTNAME_MISMATCH);
                }
                outcome = dial(tls_versions[v], &world.stranger, owns[k], &ways[i], &result);
                assert_refused("a stranger", &outcome);
                assert_false(outcome.client_done);
                if (!ways[i].in_its_place)
                    assert_contains(outcome.client_errors, "not trusted by the Consul roots");
            }
        }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_refusals, tls_reset),
        cmocka_unit_test_setup(test_a_server_is_heeded, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up_as_web, tls_tear_down);
}
