/* The fields of roots and leaves: for their decoder and their cache, not for the provider. */
#ifndef CONSUL_IDENTITY_SNAPSHOTS_H
#define CONSUL_IDENTITY_SNAPSHOTS_H

#include "identity/leaf.h"
#include "identity/roots.h"
#include "identity/signatures.h"

#include <stdatomic.h>

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

#endif
