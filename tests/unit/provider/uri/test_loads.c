/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate and its key, loaded one after the other as programs do, with a renewal in between. */
#include "unit.h"

#include <openssl/err.h>
#include <openssl/store.h>

#include "tls.h"

static minted renewed;

/* Load one object of this type by a URI. */
static void *load(const char *uri, int type)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info;
    void *loaded;

    assert_non_null(store);
    assert_int_equal(OSSL_STORE_expect(store, type), 1);
    assert_false(OSSL_STORE_eof(store));
    info = OSSL_STORE_load(store);
    assert_non_null(info);
    loaded = type == OSSL_STORE_INFO_PKEY ? (void *)OSSL_STORE_INFO_get1_PKEY(info)
                                          : (void *)OSSL_STORE_INFO_get1_CERT(info);
    assert_non_null(loaded);
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    return loaded;
}

/* Load both, with a renewal in between. Return true where they are of one leaf, and set `*is_renewed`. */
static bool load_both(const char *uri, int first, bool *is_renewed)
{
    int second = first == OSSL_STORE_INFO_PKEY ? OSSL_STORE_INFO_CERT : OSSL_STORE_INFO_PKEY;
    void *one, *other;
    EVP_PKEY *key;
    X509 *cert;
    bool fits;

    fake_agent_set_leaf(&world.agent, &world.web);
    one = load(uri, first);
    fake_agent_set_leaf(&world.agent, &renewed);
    other = load(uri, second);
    key = first == OSSL_STORE_INFO_PKEY ? one : other;
    cert = first == OSSL_STORE_INFO_PKEY ? other : one;
    fits = X509_check_private_key(cert, key) == 1;
    *is_renewed = X509_cmp(cert, renewed.cert) == 0;
    X509_free(cert);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return fits;
}

static void test_both_are_of_one_leaf(void **state)
{
    static const struct {
        const char *uri; /* its own, as loads of one URI belong together */
        int first;
    } rows[] = {
        {"consul://leaf/web", OSSL_STORE_INFO_CERT},
        {"consul://leaf/web?dc=dc1", OSSL_STORE_INFO_PKEY},
    };
    bool is_renewed;
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(load_both(rows[i].uri, rows[i].first, &is_renewed));
        assert_false(is_renewed);
    }
}

/* A program without a pause has the renewed leaf after a second. */
static void test_the_next_pair_is_live(void **state)
{
    bool is_renewed = false;
    X509 *cert;
    EVP_PKEY *key;

    X509_free(load("consul://leaf/web", OSSL_STORE_INFO_CERT));
    fake_agent_set_leaf(&world.agent, &renewed);
    while (!is_renewed) {
        cert = load("consul://leaf/web", OSSL_STORE_INFO_CERT);
        key = load("consul://leaf/web", OSSL_STORE_INFO_PKEY);
        is_renewed = X509_cmp(cert, renewed.cert) == 0;
        assert_int_equal(X509_check_private_key(cert, key), 1);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
}

/* Without an expected type, a load has the whole leaf. It is the live one. */
static void test_a_whole_leaf_is_live(void **state)
{
    bool is_renewed;
    SSL_CTX *ctx;

    assert_true(load_both("consul://leaf/web", OSSL_STORE_INFO_CERT, &is_renewed));
    ctx = tls_ctx_by_uri("consul://leaf/web", NULL);
    assert_int_equal(X509_cmp(SSL_CTX_get0_certificate(ctx), renewed.cert), 0);
    SSL_CTX_free(ctx);
}

/* The names that a URI leaves open are the configured ones. */
static void test_two_spellings_are_one_leaf(void **state)
{
    EVP_PKEY *key;
    X509 *cert;

    fake_agent_set_leaf(&world.agent, &world.web);
    cert = load("consul://leaf/web", OSSL_STORE_INFO_CERT);
    fake_agent_set_leaf(&world.agent, &renewed);
    key = load("consul:leaf", OSSL_STORE_INFO_PKEY);
    assert_int_equal(X509_check_private_key(cert, key), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static int set_up(void **state)
{
    if (tls_set_up_as_web(state) != 0)
        return 1;
    renewed = mint_leaf(&world.ca, TD, "web");
    return 0;
}

static int tear_down(void **state)
{
    minted_free(&renewed);
    return tls_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_both_are_of_one_leaf, tls_reset),
        cmocka_unit_test_setup(test_the_next_pair_is_live, tls_reset),
        cmocka_unit_test_setup(test_a_whole_leaf_is_live, tls_reset),
        cmocka_unit_test_setup(test_two_spellings_are_one_leaf, tls_reset),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
