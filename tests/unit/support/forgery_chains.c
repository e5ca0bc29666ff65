/* SPDX-License-Identifier: Apache-2.0 */
#include "forgery_tricks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/x509v3.h>

#define LONG_CHAIN 50 /* CAs */
#define LONGER_CHAIN 101
#define STRANGERS 20

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "trick: %s\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

/* ---- leaf and chain ---- */

#define ID                     \
    {                          \
        {                      \
            GEN_URI, "{id}", 0 \
        }                      \
    }
#define OF(service)                                                    \
    {                                                                  \
        {                                                              \
            GEN_URI, "spiffe://{td}/ns/default/dc/dc1/svc/" service, 0 \
        }                                                              \
    }

void trick_signed_by_a_leaf(forger *f, forged *result)
{
    minted other =
        forge_one(f, f->root, (mint_order){.subject = "leaf", .names = OF("other")}, NULL);

    result->leaf = forge_one(f, &other, (mint_order){.names = ID}, NULL);
    forge_push(result, other.cert);
    minted_free(&other);
}

void trick_proxy(forger *f, forged *result)
{
    minted owner = forge_one(f, f->root, (mint_order){.subject = "leaf", .names = ID}, NULL);
    const mint_order order = {
        .subject = "proxy",
        .names = ID,
        .basic_constraints = "",
        .extensions = {"1.3.6.1.5.5.7.1.14=critical,DER:300C300A06082B06010505071500"},
    };

    result->leaf = forge_one(f, &owner, order, NULL);
    forge_push(result, owner.cert);
    minted_free(&owner);
}

static void free_bn(BIGNUM **n)
{
    BN_free(*n);
    *n = NULL;
}

/*
 * Make a private key 1 with the point of a public key as the generator of its curve. The public key is that
 * point then, and its owner is not needed to sign (CVE-2020-0601).
 */
static EVP_PKEY *take_public_key(const EVP_PKEY *victim)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    BIGNUM *p = BN_new(), *a = BN_new(), *b = BN_new(), *one = BN_new();
    unsigned char point[256];
    size_t len = 0;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    must(group != NULL && EC_GROUP_get_curve(group, p, a, b, NULL) == 1 && BN_one(one) == 1
             && EVP_PKEY_get_octet_string_param(victim, "pub", point, sizeof(point), &len) == 1,
         "a public key");
    must(OSSL_PARAM_BLD_push_utf8_string(bld, "field-type", "prime-field", 0)
             && OSSL_PARAM_BLD_push_BN(bld, "p", p) && OSSL_PARAM_BLD_push_BN(bld, "a", a)
             && OSSL_PARAM_BLD_push_BN(bld, "b", b)
             && OSSL_PARAM_BLD_push_BN(bld, "order", EC_GROUP_get0_order(group))
             && OSSL_PARAM_BLD_push_BN(bld, "cofactor", one)
             && OSSL_PARAM_BLD_push_octet_string(bld, "generator", point, len)
             && OSSL_PARAM_BLD_push_octet_string(bld, "pub", point, len)
             && OSSL_PARAM_BLD_push_BN(bld, "priv", one)
             && (params = OSSL_PARAM_BLD_to_param(bld)) != NULL && EVP_PKEY_fromdata_init(ctx) == 1
             && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) == 1,
         "a curve of one's own");
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    EVP_PKEY_CTX_free(ctx);
    EC_GROUP_free(group);
    free_bn(&p), free_bn(&a), free_bn(&b), free_bn(&one);
    return key;
}

void trick_self_signed(forger *f, forged *result)
{
    result->leaf = forge_one(f, NULL, (mint_order){.names = ID}, NULL);
}

void trick_curveball(forger *f, forged *result)
{
    minted root;

    if (OpenSSL_version_num() >= 0x40000000UL) { /* it reads no curve of one's own */
        trick_self_signed(f, result);
        return;
    }
    root = (minted){.cert = X509_dup(f->root->cert), .key = take_public_key(f->root->key)};
    must(root.cert != NULL && X509_set_pubkey(root.cert, root.key) == 1, "a root");
    mint_sign(&root, root.key, NULL);
    result->leaf = forge_one(f, &root, (mint_order){.names = ID}, NULL);
    forge_push(result, root.cert);
    minted_free(&root);
}

void trick_root_itself(forger *f, forged *result)
{
    result->leaf = *f->root;
    must(X509_up_ref(result->leaf.cert) && EVP_PKEY_up_ref(result->leaf.key), "a root");
}

static void build_chain(forger *f, forged *result, int length)
{
    minted *cas = calloc((size_t)length, sizeof(*cas));
    char subject[32];
    int i;

    must(cas != NULL, "a chain");
    for (i = 0; i < length; i++) {
        snprintf(subject, sizeof(subject), "CA %d", i);
        cas[i] = forge_one(f, i == 0 ? f->root : &cas[i - 1],
                           (mint_order){.subject = subject, .ca = true}, NULL);
    }
    result->leaf = forge_one(f, &cas[length - 1], (mint_order){.names = ID}, NULL);
    while (i-- > 0) {
        forge_push(result, cas[i].cert);
        minted_free(&cas[i]);
    }
    free(cas);
}

void trick_long_chain(forger *f, forged *result)
{
    build_chain(f, result, LONG_CHAIN);
}

void trick_longer_chain(forger *f, forged *result)
{
    build_chain(f, result, LONGER_CHAIN);
}

static void build_loop(forger *f, forged *result, bool has_way)
{
    mint_order a = {.subject = "A", .ca = true, .key_ids = {NULL, ""}}, b = a;
    minted first, second, again;

    b.subject = "B";
    first = forge_one(f, f->root, a, NULL);
    second = forge_one(f, &first, b, NULL);
    a.key = first.key;
    again = mint(&second, a);
    result->leaf = forge_one(f, &first, (mint_order){.names = ID, .key_ids = {NULL, ""}}, NULL);
    forge_push(result, again.cert);
    forge_push(result, second.cert);
    if (has_way)
        forge_push(result, first.cert);
    minted_free(&first);
    minted_free(&second);
    minted_free(&again);
}

void trick_loop(forger *f, forged *result)
{
    build_loop(f, result, false);
}

void trick_loop_with_way(forger *f, forged *result)
{
    build_loop(f, result, true);
}

/* ---- the chain that is sent ---- */

void trick_without_chain(forger *f, forged *result)
{
    sk_X509_pop_free(result->chain, X509_free);
    must((result->chain = sk_X509_new_null()) != NULL, "a chain");
}

void trick_reversed(forger *f, forged *result)
{
    int i, last = sk_X509_num(result->chain) - 1;

    for (i = 0; i < last - i; i++) {
        X509 *kept = sk_X509_value(result->chain, i);

        sk_X509_set(result->chain, i, sk_X509_value(result->chain, last - i));
        sk_X509_set(result->chain, last - i, kept);
    }
}

void trick_with_root(forger *f, forged *result)
{
    forge_push(result, f->root->cert);
}

void trick_twice(forger *f, forged *result)
{
    int i, count = sk_X509_num(result->chain);

    forge_push(result, result->leaf.cert);
    for (i = 0; i < count; i++)
        forge_push(result, sk_X509_value(result->chain, i));
}

void trick_strangers_beside(forger *f, forged *result)
{
    int i;

    for (i = 0; i < STRANGERS; i++) {
        minted stranger = forge_one(f, NULL, (mint_order){.subject = "Stranger", .ca = true}, NULL);

        forge_push(result, stranger.cert);
        minted_free(&stranger);
    }
}

void trick_namesake_first(forger *f, forged *result)
{
    minted namesake =
        forge_one(f, NULL, (mint_order){.subject = "Intermediate 1", .ca = true}, NULL);

    must(sk_X509_unshift(result->chain, namesake.cert) > 0 && X509_up_ref(namesake.cert),
         "a chain");
    minted_free(&namesake);
}
