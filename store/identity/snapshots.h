/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of roots and leaves, for their decoder and their cache, and not for the provider. Only
 * the decoder writes them, before it shares the snapshot. Any thread.
 */
#ifndef CONSUL_IDENTITY_SNAPSHOTS_H
#define CONSUL_IDENTITY_SNAPSHOTS_H

#include "identity/leaf.h"
#include "identity/roots.h"
#include "identity/signatures.h"

#include <stdatomic.h>

struct consul_roots {
    atomic_int refs;
    unsigned char digest[CONSUL_DIGEST_LEN]; /* the digest of the agent's answer, or zeros */
    OSSL_LIB_CTX *libctx;                    /* borrowed */
    char *trust_domain;
    STACK_OF(X509) *certs;
    consul_signatures *verified; /* the verified chains to these roots */
};

struct consul_leaf {
    atomic_int refs;
    unsigned char digest[CONSUL_DIGEST_LEN]; /* the digest of the agent's answer, or zeros */
    EVP_PKEY *key;
    X509 *cert;
    STACK_OF(X509) *chain;
    int64_t begins, ends; /* the validity of the certificate, in seconds since 1970 */
    consul_spiffe_id id;
};

#endif
