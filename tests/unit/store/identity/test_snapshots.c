/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: their references, and the demands on a leaf and a peer beside the roots. */
#include "unit.h"

#include <pthread.h>

#include <openssl/x509v3.h>

#include "identity/cert.h"
#include "identity/snapshots.h"
#include "mint.h"

#define TD "11111111-2222-3333-4444-555555555555.consul"
#define OTHER_TD "99999999-2222-3333-4444-555555555555.consul"
#define THREADS 8
#define ROUNDS 20000

static minted ca, other_ca, inner, forged_ca;
static minted inner_twice, inner_policy; /* CAs that are not well-formed */

#define TWICE "1.2.3.4=DER:05:00", "1.2.3.4=DER:05:00"

static int set_up(void **state)
{
    ca = mint_ca(TD);
    other_ca = mint_ca(OTHER_TD);
    inner = mint(&ca, (mint_order){.subject = "inner", .ca = true});
    inner_twice = mint(&ca, (mint_order){.subject = "twice", .ca = true, .extensions = {TWICE}});
    inner_policy =
        mint(&ca, (mint_order){.subject = "policy",
                               .ca = true,
                               .extensions = {"policyConstraints=requireExplicitPolicy:0"}});
    forged_ca = mint_ca(TD); /* the same name as ca, and another key */
    return 0;
}

static int tear_down(void **state)
{
    minted_free(&ca);
    minted_free(&other_ca);
    minted_free(&inner);
    minted_free(&inner_twice);
    minted_free(&inner_policy);
    minted_free(&forged_ca);
    return 0;
}

static void push(STACK_OF(X509) *certs, const minted *one)
{
    assert_true(X509_up_ref(one->cert));
    assert_true(sk_X509_push(certs, one->cert));
}

/* Make roots with one reference; `second` may be NULL. */
static consul_roots *make_roots(const char *trust_domain, const minted *first, const minted *second)
{
    consul_roots *roots = consul_roots_new(NULL, NULL);

    assert_non_null(roots);
    roots->trust_domain = OPENSSL_strdup(trust_domain);
    push(roots->certs, first);
    if (second != NULL)
        push(roots->certs, second);
    return roots;
}

/* Make a leaf with one reference; takes `one`. */
static consul_leaf *make_leaf(minted one, const minted *intermediate)
{
    consul_leaf *leaf = consul_leaf_new(NULL);

    assert_non_null(leaf);
    leaf->cert = one.cert;
    leaf->key = one.key;
    if (intermediate != NULL)
        push(leaf->chain, intermediate);
    assert_true(consul_spiffe_id_of_cert(leaf->cert, &leaf->id, NULL));
    return leaf;
}

/* ---- references ---- */

static void *use_roots(void *arg)
{
    consul_roots *roots = arg;
    int i;

    for (i = 0; i < ROUNDS; i++) {
        consul_roots *mine = consul_roots_ref(roots);

        if (consul_roots_trust_domain(mine)[0] != '1')
            return roots;
        consul_roots_unref(mine);
    }
    consul_roots_unref(roots);
    return NULL;
}

static void *use_leaf(void *arg)
{
    consul_leaf *leaf = arg;
    int i;

    for (i = 0; i < ROUNDS; i++) {
        consul_leaf *mine = consul_leaf_ref(leaf);

        if (consul_leaf_cert(mine) == NULL || consul_leaf_key(mine) == NULL)
            return leaf;
        consul_leaf_unref(mine);
    }
    consul_leaf_unref(leaf);
    return NULL;
}

static void run_threads(void *(*use)(void *), void *arg)
{
    pthread_t threads[THREADS];
    int i;

    for (i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, arg), 0);
    for (i = 0; i < THREADS; i++) {
        void *bad;

        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
}

/* The last holder frees it. The sanitizers see whether it is freed once. */
static void test_references(void **state)
{
    consul_roots *roots = make_roots(TD, &ca, NULL);
    consul_leaf *leaf = make_leaf(mint_leaf(&ca, TD, "web"), NULL);
    int i;

    for (i = 0; i < THREADS; i++) {
        assert_ptr_equal(consul_roots_ref(roots), roots);
        assert_ptr_equal(consul_leaf_ref(leaf), leaf);
    }
    assert_int_equal(roots->refs, THREADS + 1);
    run_threads(use_roots, roots);
    run_threads(use_leaf, leaf);
    assert_int_equal(roots->refs, 1);
    assert_int_equal(leaf->refs, 1);
    consul_roots_unref(roots);
    consul_leaf_unref(leaf);
    consul_roots_unref(NULL);
    consul_leaf_unref(NULL);
}

static void test_accessors(void **state)
{
    consul_roots *roots = make_roots(TD, &ca, &other_ca);
    consul_leaf *leaf = make_leaf(mint_leaf(&inner, TD, "web"), &inner);

    assert_string_equal(consul_roots_trust_domain(roots), TD);
    assert_int_equal(sk_X509_num(consul_roots_certs(roots)), 2);
    assert_ptr_equal(consul_leaf_cert(leaf), leaf->cert);
    assert_ptr_equal(consul_leaf_key(leaf), leaf->key);
    assert_int_equal(sk_X509_num(consul_leaf_chain(leaf)), 1);
    assert_string_equal(consul_leaf_id(leaf)->service, "web");
    consul_leaf_unref(leaf);
    consul_roots_unref(roots);
}

/* ---- the leaf of a request, and others ---- */

#define WEB "spiffe://" TD "/ap/part/ns/team/dc/dc1/svc/web"
#define URI(text) .names = {{GEN_URI, text, 0}}

static const struct {
    const char *name;
    mint_order order;
    const minted *issuer;
    const char *service;
    consul_scope scope;
    const char *error; /* NULL where it is right */
    bool stale;
} leaves[] = {
    {"nothing asked but the service", {URI(WEB)}, &ca, "web", {"", "", ""}, NULL, false},
    {"all that was asked", {URI(WEB)}, &ca, "web", {"team", "part", "dc1"}, NULL, false},
    {"under an intermediate", {URI(WEB)}, &inner, "web", {"", "", ""}, NULL, false},
    {"another service",
     {URI(WEB)},
     &ca,
     "db",
     {"", "", ""},
     "not for the service of the request",
     false},
    {"another case",
     {URI(WEB)},
     &ca,
     "Web",
     {"", "", ""},
     "not for the service of the request",
     false},
    {"a longer name",
     {URI(WEB)},
     &ca,
     "we",
     {"", "", ""},
     "not for the service of the request",
     false},
    {"namespace",
     {URI(WEB)},
     &ca,
     "web",
     {"default", "", ""},
     "not for the service of the request",
     false},
    {"partition",
     {URI(WEB)},
     &ca,
     "web",
     {"", "default", ""},
     "not for the service of the request",
     false},
    {"datacenter",
     {URI(WEB)},
     &ca,
     "web",
     {"", "", "dc2"},
     "not for the datacenter \"dc2\" of the request",
     false},
    {"expired",
     {URI(WEB), .not_before = -2 * MINT_DAY, .not_after = -60},
     &ca,
     "web",
     {"", "", ""},
     "the leaf of \"web\" has expired",
     true},
    {"not yet valid",
     {URI(WEB), .not_before = 3600, .not_after = MINT_DAY},
     &ca,
     "web",
     {"", "", ""},
     "the leaf of \"web\" is not valid yet",
     false},
    {"another trust domain",
     {URI("spiffe://" OTHER_TD "/ns/default/dc/dc1/svc/web")},
     &ca,
     "web",
     {"", "", ""},
     "is not in the trust domain \"" TD "\"",
     true},
    {"another CA", {URI(WEB)}, &other_ca, "web", {"", "", ""}, "does not chain to the roots", true},
    {"a CA of that name", {URI(WEB)}, &forged_ca, "web", {"", "", ""}, "does not chain", true},
};

static void test_leaf_check(void **state)
{
    consul_roots *roots = make_roots(TD, &ca, NULL);
    size_t i;

    for (i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        consul_leaf *leaf = make_leaf(mint(leaves[i].issuer, leaves[i].order), &inner);
        consul_error err = {0};
        bool stale = !leaves[i].stale;
        int ok = consul_leaf_check(leaf, roots, leaves[i].service, &leaves[i].scope, false, &stale,
                                   &err);

        if (ok != (leaves[i].error == NULL) || stale != leaves[i].stale)
            fail_msg("%s: got %d, stale %d, %s", leaves[i].name, ok, stale, err.text);
        if (!ok)
            assert_error(&err, CONSUL_R_AGENT_ANSWER_INVALID, leaves[i].error);
        consul_leaf_unref(leaf);
    }
    consul_roots_unref(roots);
}

/* ---- does this peer chain to the roots? ---- */

static const struct {
    const char *name;
    const minted *root, *second_root;
    const minted *issuer; /* NULL: self-signed */
    mint_order order;
    const minted *untrusted;
    int purpose, level;
    int error; /* X509_V_OK where it must verify */
} chains[] = {
    {"good", &ca, NULL, &ca, {0}, NULL, X509_PURPOSE_SSL_CLIENT, -1, X509_V_OK},
    {"as a server", &ca, NULL, &ca, {0}, NULL, X509_PURPOSE_SSL_SERVER, 2, X509_V_OK},
    {"second root", &other_ca, &ca, &ca, {0}, NULL, X509_PURPOSE_SSL_CLIENT, -1, X509_V_OK},
    {"roots of one name", &forged_ca, &ca, &ca, {0}, NULL, X509_PURPOSE_ANY, -1, X509_V_OK},
    {"other CA",
     &ca,
     NULL,
     &other_ca,
     {0},
     NULL,
     X509_PURPOSE_ANY,
     -1,
     X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
    {"other CA, sent along",
     &ca,
     NULL,
     &other_ca,
     {0},
     &other_ca,
     X509_PURPOSE_ANY,
     -1,
     X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN},
    {"forged CA of that name, sent along",
     &ca,
     NULL,
     &forged_ca,
     {0},
     &forged_ca,
     X509_PURPOSE_ANY,
     -1,
     X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN},
    {"self-signed",
     &ca,
     NULL,
     NULL,
     {0},
     NULL,
     X509_PURPOSE_ANY,
     -1,
     X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT},
    {"intermediate", &ca, NULL, &inner, {0}, &inner, X509_PURPOSE_SSL_CLIENT, -1, X509_V_OK},
    {"intermediate missing",
     &ca,
     NULL,
     &inner,
     {0},
     NULL,
     X509_PURPOSE_SSL_CLIENT,
     -1,
     X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
    {"listed intermediate is an anchor",
     &inner,
     NULL,
     &inner,
     {0},
     NULL,
     X509_PURPOSE_SSL_CLIENT,
     -1,
     X509_V_OK},
    {"anchor's own CA is none",
     &inner,
     NULL,
     &ca,
     {0},
     &ca,
     X509_PURPOSE_SSL_CLIENT,
     -1,
     X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN},
    {"server only, as a client",
     &ca,
     NULL,
     &ca,
     {.ext_key_usage = "serverAuth"},
     NULL,
     X509_PURPOSE_SSL_CLIENT,
     -1,
     X509_V_ERR_INVALID_PURPOSE},
    {"client only, as a server",
     &ca,
     NULL,
     &ca,
     {.ext_key_usage = "clientAuth"},
     NULL,
     X509_PURPOSE_SSL_SERVER,
     -1,
     X509_V_ERR_INVALID_PURPOSE},
    {"no extended key usage",
     &ca,
     NULL,
     &ca,
     {.ext_key_usage = ""},
     NULL,
     X509_PURPOSE_SSL_CLIENT,
     -1,
     X509_V_OK},
    {"expired",
     &ca,
     NULL,
     &ca,
     {.not_before = -MINT_DAY, .not_after = -1},
     NULL,
     X509_PURPOSE_ANY,
     -1,
     X509_V_ERR_CERT_HAS_EXPIRED},
    {"not yet valid",
     &ca,
     NULL,
     &ca,
     {.not_before = 600, .not_after = MINT_DAY},
     NULL,
     X509_PURPOSE_ANY,
     -1,
     X509_V_ERR_CERT_NOT_YET_VALID},
    {"key too small for the level",
     &ca,
     NULL,
     &ca,
     {0},
     NULL,
     X509_PURPOSE_ANY,
     5,
     X509_V_ERR_EE_KEY_TOO_SMALL},
    {"key identifiers alike, as in old leaves",
     &ca,
     NULL,
     &ca,
     {.subject = "web", .issuer_key_id = true},
     NULL,
     X509_PURPOSE_SSL_CLIENT,
     -1,
     X509_V_OK},
    {"an extension twice",
     &ca,
     NULL,
     &ca,
     {.extensions = {TWICE}},
     NULL,
     X509_PURPOSE_ANY,
     -1,
     X509_V_ERR_INVALID_EXTENSION},
    {"an extension twice in an intermediate",
     &ca,
     NULL,
     &inner_twice,
     {0},
     &inner_twice,
     X509_PURPOSE_SSL_CLIENT,
     -1,
     X509_V_ERR_INVALID_EXTENSION},
    {"an intermediate that demands a policy",
     &ca,
     NULL,
     &inner_policy,
     {0},
     &inner_policy,
     X509_PURPOSE_SSL_CLIENT,
     -1,
     X509_V_ERR_INVALID_EXTENSION},
    {"a root is trusted as it is",
     &inner_twice,
     NULL,
     &inner_twice,
     {0},
     NULL,
     X509_PURPOSE_SSL_CLIENT,
     -1,
     X509_V_OK},
    {"a purpose that does not exist", &ca, NULL, &ca, {0}, NULL, 12345, -1, X509_V_ERR_UNSPECIFIED},
};

static void test_verify(void **state)
{
    size_t i;

    for (i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
        consul_roots *roots = make_roots(TD, chains[i].root, chains[i].second_root);
        minted peer = mint(chains[i].issuer, chains[i].order);
        STACK_OF(X509) *untrusted = sk_X509_new_null(), *chain = NULL;
        consul_error err = {0};
        int error = X509_V_OK, ok;

        if (chains[i].untrusted != NULL)
            push(untrusted, chains[i].untrusted);
        ok = consul_roots_verify(roots, peer.cert, untrusted, chains[i].purpose, chains[i].level,
                                 &chain, NULL, &error, &err);
        if (ok != (chains[i].error == X509_V_OK) || error != chains[i].error)
            fail_msg("%s: got %d, error %d, %s", chains[i].name, ok, error, err.text);
        if (ok) {
            assert_true(sk_X509_num(chain) >= 2);
            assert_ptr_equal(sk_X509_value(chain, 0), peer.cert);
        } else {
            assert_null(chain);
            assert_error(&err, CONSUL_R_PEER_UNTRUSTED, X509_verify_cert_error_string(error));
        }
        sk_X509_pop_free(chain, X509_free);
        sk_X509_pop_free(untrusted, X509_free);
        minted_free(&peer);
        consul_roots_unref(roots);
    }
}

/* Certificates that are no CA, or no longer one. */
static void test_verify_bad_ca(void **state)
{
    const struct {
        const char *name;
        mint_order order; /* of the CA */
        int error;
    } rows[] = {
        {"expired root",
         {.subject = "old", .ca = true, .not_before = -MINT_DAY, .not_after = -1},
         X509_V_ERR_CERT_HAS_EXPIRED},
        {"leaf as a root", {.subject = "web"}, X509_V_ERR_INVALID_CA},
        {"root that may not sign",
         {.subject = "weak", .ca = true, .key_usage = "digitalSignature"},
         X509_V_ERR_INVALID_CA},
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        minted root = mint(NULL, rows[i].order), peer = mint(&root, (mint_order){0});
        consul_roots *roots = make_roots(TD, &root, NULL);
        int error = X509_V_OK;

        if (consul_roots_verify(roots, peer.cert, NULL, X509_PURPOSE_SSL_CLIENT, -1, NULL, NULL,
                                &error, NULL))
            fail_msg("%s was accepted", rows[i].name);
        if (error == X509_V_OK)
            fail_msg("%s: refused without an error", rows[i].name);
        consul_roots_unref(roots);
        minted_free(&peer);
        minted_free(&root);
    }
}

/* A program may replace OpenSSL's parameters by lax ones, for all contexts of the process. */
static void test_verify_amid_lax_defaults(void **state)
{
    X509_VERIFY_PARAM *lax = X509_VERIFY_PARAM_new();

    assert_non_null(lax);
    assert_int_equal(X509_VERIFY_PARAM_set1_name(lax, "default"), 1);
    X509_VERIFY_PARAM_set_flags(lax, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_IGNORE_CRITICAL
                                         | X509_V_FLAG_ALLOW_PROXY_CERTS);
    assert_int_equal(X509_VERIFY_PARAM_set_trust(lax, X509_TRUST_EMAIL), 1);
    X509_VERIFY_PARAM_set_depth(lax, 100);
    assert_int_equal(X509_VERIFY_PARAM_add0_table(lax), 1);
    test_verify(state);
    test_verify_bad_ca(state);
    X509_VERIFY_PARAM_set1_name(lax, NULL); /* OpenSSL does not free it */
    X509_VERIFY_PARAM_table_cleanup();
}

static int accept_any(const X509_PURPOSE *purpose, const X509 *cert, int is_ca)
{
    return 1;
}

/* A program may replace OpenSSL's purposes by lax ones, for all verifications of the process. */
static void test_verify_amid_lax_purposes(void **state)
{
    char name[] = "any", short_names[2][16] = {"sslclient", "sslserver"};

    assert_int_equal(X509_PURPOSE_add(X509_PURPOSE_SSL_CLIENT, X509_TRUST_SSL_CLIENT, 0, accept_any,
                                      name, short_names[0], NULL),
                     1);
    assert_int_equal(X509_PURPOSE_add(X509_PURPOSE_SSL_SERVER, X509_TRUST_SSL_SERVER, 0, accept_any,
                                      name, short_names[1], NULL),
                     1);
    test_verify(state);
    X509_PURPOSE_cleanup();
}

/* Secondary datacenters have issued leaves of empty subject from CAs of empty subject. */
static void test_empty_names(void **state)
{
    minted nameless = mint(&ca, (mint_order){.ca = true, .names = {{GEN_URI, WEB, 0}}});
    minted peer = mint(&nameless, (mint_order){.names = {{GEN_URI, WEB, 0}}});
    consul_roots *roots = make_roots(TD, &ca, NULL);
    STACK_OF(X509) *untrusted = sk_X509_new_null();
    consul_error err = {0};

    push(untrusted, &nameless);
    if (!consul_roots_verify(roots, peer.cert, untrusted, X509_PURPOSE_SSL_CLIENT, -1, NULL, NULL,
                             NULL, &err))
        fail_msg("%s", err.text);
    sk_X509_pop_free(untrusted, X509_free);
    consul_roots_unref(roots);
    minted_free(&peer);
    minted_free(&nameless);
}

/* A chain that was checked is checked again when the first of its certificates has expired. */
static void test_next_expiry(void **state)
{
    static const long lives[][2] = {{100, 1000}, {1000, 100}, {-50, 100}};
    size_t i;

    for (i = 0; i < 3; i++) {
        minted root =
            mint(NULL, (mint_order){.ca = true, .not_before = -60, .not_after = lives[i][0]});
        minted between =
            mint(&root, (mint_order){.ca = true, .not_before = -60, .not_after = lives[i][1]});
        consul_roots *roots = make_roots(TD, &root, NULL);
        consul_leaf *leaf = make_leaf(mint_leaf(&between, TD, "web"), &between);

        assert_between(consul_leaf_next_expiry(leaf, roots) - time(NULL), 1, 100);
        consul_leaf_unref(leaf);
        consul_roots_unref(roots);
        minted_free(&between);
        minted_free(&root);
    }
}

static bool has_size = true, has_bits = true;

int __real_EVP_PKEY_get_size(const EVP_PKEY *key);
int __wrap_EVP_PKEY_get_size(const EVP_PKEY *key);
int __real_EVP_PKEY_get_security_bits(const EVP_PKEY *key);
int __wrap_EVP_PKEY_get_security_bits(const EVP_PKEY *key);

int __wrap_EVP_PKEY_get_size(const EVP_PKEY *key)
{
    return has_size ? __real_EVP_PKEY_get_size(key) : 0;
}

int __wrap_EVP_PKEY_get_security_bits(const EVP_PKEY *key)
{
    return has_bits ? __real_EVP_PKEY_get_security_bits(key) : 0;
}

/* OpenSSL may read a key without memory, and find no sizes of it. */
static void test_keys_without_sizes(void **state)
{
    STACK_OF(X509) *certs = sk_X509_new_null();

    assert_true(sk_X509_push(certs, ca.cert) > 0);
    assert_true(consul_certs_are_usable(certs));
    has_size = false;
    assert_false(consul_certs_are_usable(certs));
    has_size = true;
    has_bits = false;
    assert_false(consul_certs_are_usable(certs));
    has_bits = true;
    sk_X509_free(certs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_accessors),
        cmocka_unit_test(test_leaf_check),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_verify_bad_ca),
        cmocka_unit_test(test_empty_names),
        cmocka_unit_test(test_verify_amid_lax_defaults),
        cmocka_unit_test(test_next_expiry),
        cmocka_unit_test(test_keys_without_sizes),
        cmocka_unit_test(test_verify_amid_lax_purposes), /* last, as nothing takes that back */
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
