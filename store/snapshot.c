#include "internal.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/x509v3.h>

bool consul_digest_is_set(const unsigned char digest[CONSUL_DIGEST_LEN])
{
    static const unsigned char none[CONSUL_DIGEST_LEN];

    return memcmp(digest, none, CONSUL_DIGEST_LEN) != 0;
}

consul_roots *consul_roots_new(OSSL_LIB_CTX *libctx, consul_error *err)
{
    consul_roots *roots = OPENSSL_zalloc(sizeof(*roots));

    if (roots != NULL) {
        atomic_init(&roots->refs, 1);
        roots->libctx = libctx;
        roots->certs = sk_X509_new_null();
        roots->verified = consul_signatures_new();
    }
    if (roots == NULL || roots->certs == NULL || roots->verified == NULL) {
        consul_roots_unref(roots);
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the roots");
        return NULL;
    }
    return roots;
}

consul_roots *consul_roots_ref(consul_roots *roots)
{
    atomic_fetch_add_explicit(&roots->refs, 1, memory_order_relaxed);
    return roots;
}

void consul_roots_unref(consul_roots *roots)
{
    if (roots == NULL || atomic_fetch_sub_explicit(&roots->refs, 1, memory_order_acq_rel) != 1)
        return;
    OPENSSL_free(roots->trust_domain);
    sk_X509_pop_free(roots->certs, X509_free);
    consul_signatures_free(roots->verified);
    OPENSSL_free(roots);
}

const char *consul_roots_trust_domain(const consul_roots *roots)
{
    return roots->trust_domain;
}

const STACK_OF(X509) *consul_roots_certs(const consul_roots *roots)
{
    return roots->certs;
}

bool consul_roots_contain(const consul_roots *roots, const X509 *cert)
{
    return consul_certs_contain(roots->certs, cert);
}

consul_leaf *consul_leaf_new(consul_error *err)
{
    consul_leaf *leaf = OPENSSL_zalloc(sizeof(*leaf));

    if (leaf == NULL || (leaf->chain = sk_X509_new_null()) == NULL) {
        OPENSSL_free(leaf);
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a leaf");
        return NULL;
    }
    atomic_init(&leaf->refs, 1);
    return leaf;
}

consul_leaf *consul_leaf_ref(consul_leaf *leaf)
{
    atomic_fetch_add_explicit(&leaf->refs, 1, memory_order_relaxed);
    return leaf;
}

void consul_leaf_unref(consul_leaf *leaf)
{
    if (leaf == NULL || atomic_fetch_sub_explicit(&leaf->refs, 1, memory_order_acq_rel) != 1)
        return;
    EVP_PKEY_free(leaf->key);
    X509_free(leaf->cert);
    sk_X509_pop_free(leaf->chain, X509_free);
    OPENSSL_free(leaf);
}

EVP_PKEY *consul_leaf_key(const consul_leaf *leaf)
{
    return leaf->key;
}

X509 *consul_leaf_cert(const consul_leaf *leaf)
{
    return leaf->cert;
}

const STACK_OF(X509) *consul_leaf_chain(const consul_leaf *leaf)
{
    return leaf->chain;
}

const consul_spiffe_id *consul_leaf_id(const consul_leaf *leaf)
{
    return &leaf->id;
}

int consul_leaf_check(const consul_leaf *leaf, const consul_roots *roots, const char *service,
                      const consul_scope *scope, bool chains, bool *stale, consul_error *err)
{
    const consul_spiffe_id *id = &leaf->id;
    consul_error why = {0};
    int valid;

    *stale = false;
    if (!consul_spiffe_id_is(id, service, scope))
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                                "the leaf is for \"%s\", which is not what was asked for", id->uri);
    valid =
        X509_cmp_timeframe(NULL, X509_get0_notBefore(leaf->cert), X509_get0_notAfter(leaf->cert));
    *stale = valid > 0;
    if (valid != 0)
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID, "the leaf of \"%s\" %s",
                                service, valid > 0 ? "has expired" : "is not valid yet");
    if (roots == NULL)
        return 1;
    if (strcmp(id->trust_domain, roots->trust_domain) != 0) {
        *stale = true;
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                                "the leaf \"%s\" is not in the trust domain \"%s\"", id->uri,
                                roots->trust_domain);
    }
    if (!chains
        && !consul_roots_verify(roots, leaf->cert, leaf->chain, X509_PURPOSE_ANY, -1, NULL, NULL,
                                NULL, &why)) {
        *stale = true;
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                                "the leaf \"%s\" does not chain to the roots: %s", id->uri,
                                why.text);
    }
    return 1;
}

/* Seconds from now; none for what has expired. */
static int64_t time_left_of(const X509 *cert)
{
    int days = 0, seconds = 0;

    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) != 1)
        return 0;
    return days < 0 || seconds < 0 ? 0 : (int64_t)days * 86400 + seconds;
}

static int64_t least_time_left(const STACK_OF(X509) *certs, int64_t least)
{
    int i;

    for (i = 0; i < sk_X509_num(certs); i++) {
        int64_t left = time_left_of(sk_X509_value(certs, i));

        if (left > 0 && left < least)
            least = left;
    }
    return least;
}

time_t consul_leaf_next_expiry(const consul_leaf *leaf, const consul_roots *roots)
{
    time_t now = time(NULL);
    int64_t left = least_time_left(roots->certs, least_time_left(leaf->chain, INT32_MAX));

    return now + (time_t)left;
}

/* The X509_V_ERR_ code of a verification that has not succeeded, never X509_V_OK. */
static int verify_error(X509_STORE_CTX *ctx)
{
    int error = ctx == NULL ? X509_V_ERR_OUT_OF_MEM : X509_STORE_CTX_get_error(ctx);

    return error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error;
}

int consul_roots_verify(const consul_roots *roots, X509 *cert, STACK_OF(X509) *untrusted,
                        int purpose, int level, STACK_OF(X509) **chain,
                        unsigned char digest[CONSUL_DIGEST_LEN], int *x509_error, consul_error *err)
{
    unsigned char space[CONSUL_DIGEST_LEN];
    X509_STORE_CTX *ctx = X509_STORE_CTX_new_ex(roots->libctx, NULL);
    int ok = 0, error;

    if (ctx == NULL || !X509_STORE_CTX_init(ctx, NULL, cert, untrusted))
        goto done;
    X509_STORE_CTX_set0_trusted_stack(ctx, roots->certs); /* borrowed by the context */
    /* What Consul lists is an anchor, also where an outer CA has signed it. */
    X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN);
    if (!X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(ctx), purpose))
        goto done;
    X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(ctx), level);
    if (consul_verify_remembering(ctx, roots->verified, digest == NULL ? space : digest) != 1)
        goto done;
    if (chain != NULL && (*chain = X509_STORE_CTX_get1_chain(ctx)) == NULL)
        goto done;
    ok = 1;

done:
    if (!ok) {
        error = verify_error(ctx);
        if (x509_error != NULL)
            *x509_error = error;
        consul_error_set(err, CONSUL_R_PEER_UNTRUSTED, "%s", X509_verify_cert_error_string(error));
    }
    X509_STORE_CTX_free(ctx);
    return ok;
}
