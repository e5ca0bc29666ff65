/* The fields of roots and leaves: for their decoder and their cache, not for the provider. */
#ifndef CONSUL_IDENTITY_SNAPSHOTS_H
#define CONSUL_IDENTITY_SNAPSHOTS_H

#include "identity/leaf.h"
#include "identity/roots.h"
#include "identity/signatures.h"

#include <stdatomic.h>
#include <time.h>

/* There is none where all are zeros. */
bool consul_digest_is_set(const unsigned char digest[CONSUL_DIGEST_LEN]);

struct consul_roots {
    atomic_int refs;
    unsigned char digest[CONSUL_DIGEST_LEN]; /* of the answer that they were, or zeros */
    OSSL_LIB_CTX *libctx;                    /* borrowed */
    char *trust_domain;
    STACK_OF(X509) *certs;
    consul_signatures *verified; /* of chains to these */
};

struct consul_leaf {
    atomic_int refs;
    unsigned char digest[CONSUL_DIGEST_LEN]; /* of the answer that it was, or zeros */
    EVP_PKEY *key;
    X509 *cert;
    STACK_OF(X509) *chain;
    consul_spiffe_id id;
};

consul_roots *consul_roots_new(OSSL_LIB_CTX *libctx, consul_error *err); /* empty */

consul_leaf *consul_leaf_new(consul_error *err); /* empty */

/*
 * Check a decoded leaf for the service asked for: identity, validity, and, unless `roots` is NULL,
 * trust domain and chain. `chains` says that its chain to these roots was verified before. `*stale`
 * tells whether a newer leaf or newer roots could mend it.
 */
int consul_leaf_check(const consul_leaf *leaf, const consul_roots *roots, const char *service,
                      const consul_scope *scope, bool chains, bool *stale, consul_error *err);

/* When the next of all certificates expires that the leaf's chain may lead over; its own apart. */
time_t consul_leaf_next_expiry(const consul_leaf *leaf, const consul_roots *roots);

#endif
