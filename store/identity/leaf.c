#include "identity/leaf.h"

#include "identity/snapshots.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/x509v3.h>

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
                                "the leaf is for \"%s\", and not for the service of the request",
                                id->uri);
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

/* Return the seconds until a certificate expires, or 0 after that. */
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
