/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/signatures.h"

#include "identity/cert.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>

#define CHAINS_KEPT 1024 /* places of 44 bytes; each has the last chain that fell on it */

/* The seconds since 1970 in which all certificates of a chain are valid; or fewer, where 32 bits do not reach. */
typedef struct span {
    uint32_t begins, ends;
} span;

typedef struct place {
    atomic_flag in_use; /* taken by one thread, for the length of a copy */
    bool has_chain;
    span validity;
    unsigned char digest[CONSUL_DIGEST_LEN];
} place;

struct consul_signatures {
    place places[CHAINS_KEPT];
};

consul_signatures *consul_signatures_new(void)
{
    return OPENSSL_zalloc(sizeof(consul_signatures));
}

void consul_signatures_free(consul_signatures *verified)
{
    OPENSSL_free(verified);
}

/* Compute the SHA-256 of all certificates. DER shows where each certificate ends. */
static bool digest_chain(const STACK_OF(X509) *chain, unsigned char digest[CONSUL_DIGEST_LEN])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
    int i;

    for (i = 0; ok && i < sk_X509_num(chain); i++) {
        unsigned char *der = NULL;
        int len = i2d_X509(sk_X509_value(chain, i), &der);

        ok = len > 0 && EVP_DigestUpdate(ctx, der, (size_t)len) == 1;
        OPENSSL_free(der);
    }
    ok = ok && i > 0 && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static place *place_of(consul_signatures *verified, const unsigned char digest[CONSUL_DIGEST_LEN])
{
    return &verified->places[(digest[0] << 8 | digest[1]) % CHAINS_KEPT];
}

static bool was_verified(place *p, const unsigned char digest[CONSUL_DIGEST_LEN], span *validity)
{
    bool is_there;

    if (atomic_flag_test_and_set_explicit(&p->in_use, memory_order_acquire))
        return false;
    is_there = p->has_chain && memcmp(p->digest, digest, CONSUL_DIGEST_LEN) == 0;
    *validity = p->validity;
    atomic_flag_clear_explicit(&p->in_use, memory_order_release);
    return is_there;
}

static void remember(place *p, const unsigned char digest[CONSUL_DIGEST_LEN], span validity)
{
    if (atomic_flag_test_and_set_explicit(&p->in_use, memory_order_acquire))
        return;
    memcpy(p->digest, digest, CONSUL_DIGEST_LEN);
    p->validity = validity;
    p->has_chain = true;
    atomic_flag_clear_explicit(&p->in_use, memory_order_release);
}

static uint32_t to_32_bits(int64_t seconds)
{
    return seconds < 0 ? 0 : seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

static span validity_of(const STACK_OF(X509) *chain)
{
    span all = {0, UINT32_MAX};
    int i;

    for (i = 0; i < sk_X509_num(chain); i++) {
        int64_t begins, ends;

        consul_cert_validity(sk_X509_value(chain, i), &begins, &ends);
        if (to_32_bits(begins) > all.begins)
            all.begins = to_32_bits(begins);
        if (to_32_bits(ends) < all.ends)
            all.ends = to_32_bits(ends);
    }
    return all;
}

static bool is_now(span validity)
{
    int64_t now = time(NULL);

    return validity.begins <= now && now < validity.ends;
}

/*
 * Check the validity times (RFC 5280, 6.1.3 (a)(2)). A time that cannot be read compares as 0. It
 * counts as a time outside the validity.
 */
static int check_times(X509_STORE_CTX *ctx, const STACK_OF(X509) *chain)
{
    int i;

    for (i = sk_X509_num(chain) - 1; i >= 0; i--) {
        const X509 *cert = sk_X509_value(chain, i);
        bool begun = X509_cmp_time(X509_get0_notBefore(cert), NULL) < 0;

        if (begun && X509_cmp_time(X509_get0_notAfter(cert), NULL) > 0)
            continue;
        X509_STORE_CTX_set_error(ctx, begun ? X509_V_ERR_CERT_HAS_EXPIRED
                                            : X509_V_ERR_CERT_NOT_YET_VALID);
        X509_STORE_CTX_set_error_depth(ctx, i);
        return 0;
    }
    return 1;
}

/* The arguments of `verify`, for the verification that calls it. */
typedef struct task {
    consul_signatures *verified;
    X509_STORE_CTX_verify_fn openssls;
    unsigned char *digest;
} task;

/* Verify in place of OpenSSL's internal_verify, which is called for a new chain. */
static int verify(X509_STORE_CTX *ctx)
{
    const task *t = X509_STORE_CTX_get_app_data(ctx);
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    span validity;
    place *p = NULL;
    int ok;

    if (digest_chain(chain, t->digest))
        p = place_of(t->verified, t->digest);
    else
        memset(t->digest, 0, CONSUL_DIGEST_LEN);
    if (p != NULL && was_verified(p, t->digest, &validity))
        return is_now(validity) || check_times(ctx, chain); /* the times are slow to read */
    ok = t->openssls(ctx);
    if (ok == 1 && p != NULL)
        remember(p, t->digest, validity_of(chain));
    return ok;
}

int consul_verify_remembering(X509_STORE_CTX *ctx, consul_signatures *verified,
                              unsigned char digest[CONSUL_DIGEST_LEN])
{
    task t = {verified, X509_STORE_CTX_get_verify(ctx), digest};
    int ok;

    memset(digest, 0, CONSUL_DIGEST_LEN);
    if (t.openssls == NULL || !X509_STORE_CTX_set_app_data(ctx, &t))
        return 0;
    X509_STORE_CTX_set_verify(ctx, verify);
    ok = X509_verify_cert(ctx);
    X509_STORE_CTX_set_app_data(ctx, NULL);
    return ok;
}
