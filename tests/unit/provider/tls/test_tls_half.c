/* SPDX-License-Identifier: Apache-2.0 */
/* Half a stand-in: OpenSSL has no certificate to present, and the reason of the failure names the cause. */
#include "unit.h"

#include <openssl/x509.h>

#include "identity/stand_in.h"
#include "tls.h"

#define KEY_ALONE "the key is a stand-in's, and its certificate is missing or an ordinary one"
#define CERT_ALONE "the certificate is a stand-in's, and its key is missing or an ordinary one"

static minted stand_in; /* with the key of all stand-ins */

/* The order in which a program gives its files. */
typedef struct half {
    const char *name, *said; /* NULL where no stand-in is concerned */
    X509 **cert;
    EVP_PKEY **key;
    bool key_first;
} half;

static const half halves[] = {
    {"our key", KEY_ALONE, &world.site_rsa.cert, &stand_in.key, false},
    {"our key alone", KEY_ALONE, NULL, &stand_in.key, false},
    {"our certificate", CERT_ALONE, &stand_in.cert, &world.site_rsa.key, false},
    {"our certificate last", CERT_ALONE, &stand_in.cert, &world.site_rsa.key, true},
    {"our certificate alone", CERT_ALONE, &stand_in.cert, NULL, false},
    {"our certificate over another key", CERT_ALONE, &stand_in.cert, &world.site.key, true},
    {"nothing of ours", NULL, &world.site_rsa.cert, &world.site.key, false},
};

#define HALVES (sizeof(halves) / sizeof(halves[0]))

static void use(SSL_CTX *ctx, const half *h)
{
    if (h->key_first && h->key != NULL)
        assert_true(SSL_CTX_use_PrivateKey(ctx, *h->key));
    if (h->cert != NULL)
        assert_true(SSL_CTX_use_certificate(ctx, *h->cert));
    if (!h->key_first && h->key != NULL)
        assert_true(SSL_CTX_use_PrivateKey(ctx, *h->key));
}

/* Check that one cause is named, and that no other end of TLS is told of stand-ins. */
static void check_errors(const half *h, const char *errors)
{
    if (h->said == NULL ? strstr(errors, "stand-in") != NULL : strstr(errors, h->said) == NULL)
        fail_msg("%s: %s", h->name, errors);
}

static void test_servers(void **state)
{
    OSSL_LIB_CTX *libctx;
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < HALVES; i++) {
            SSL_CTX *server = tls_ctx(tls_versions[v], NULL);
            SSL_CTX *client = tls_ctx_elsewhere(tls_versions[v], &world.friend, &libctx);
            tls_outcome outcome;

            use(server, &halves[i]);
            outcome = tls_connect(client, server);
            assert_refused(halves[i].name, &outcome);
            check_errors(&halves[i], outcome.server_errors);
            SSL_CTX_free(server);
            SSL_CTX_free(client);
            OSSL_LIB_CTX_free(libctx);
        }
    }
}

/* The client presents nothing, and the server's alert is its only word. */
static void test_clients(void **state)
{
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < HALVES; i++) {
            SSL_CTX *server = tls_ctx(tls_versions[v], &world.web);
            SSL_CTX *client = tls_ctx(tls_versions[v], NULL);
            tls_outcome outcome;

            use(client, &halves[i]);
            outcome = tls_connect(client, server);
            assert_false(outcome.server_done || outcome.client_got);
            check_errors(&halves[i], outcome.client_errors);
            SSL_CTX_free(server);
            SSL_CTX_free(client);
        }
    }
}

static int give_a_pair(SSL *ssl, void *arg)
{
    return SSL_use_certificate(ssl, world.site.cert) && SSL_use_PrivateKey(ssl, world.site.key);
}

/* A pair that comes in a callback is in time, and nothing is reported. */
static void test_a_late_pair_is_whole(void **state)
{
    OSSL_LIB_CTX *libctx;
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server = tls_ctx(tls_versions[v], NULL);
        SSL_CTX *client = tls_ctx_elsewhere(tls_versions[v], NULL, &libctx);
        tls_outcome outcome;

        assert_true(SSL_CTX_use_PrivateKey(server, world.site_rsa.key));
        SSL_CTX_set_cert_cb(server, give_a_pair, NULL);
        outcome = tls_connect(client, server);
        assert_talked("a late pair", &outcome);
        assert_string_equal(outcome.server_errors, "");
        SSL_CTX_free(server);
        SSL_CTX_free(client);
        OSSL_LIB_CTX_free(libctx);
    }
}

static int set_up(void **state)
{
    const unsigned char *der = consul_stand_in_key;
    int result = tls_set_up(state);

    stand_in = mint_stand_in("consul:leaf/web");
    EVP_PKEY_free(stand_in.key);
    stand_in.key = d2i_AutoPrivateKey(NULL, &der, CONSUL_STAND_IN_KEY_LEN);
    assert_non_null(stand_in.key);
    return result;
}

static int tear_down(void **state)
{
    minted_free(&stand_in);
    return tls_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_servers, tls_reset),
        cmocka_unit_test_setup(test_clients, tls_reset),
        cmocka_unit_test_setup(test_a_late_pair_is_whole, tls_reset),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
