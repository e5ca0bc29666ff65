/* The leaf of one service at one moment; shared, immutable, reference-counted. Any thread. */
#ifndef CONSUL_IDENTITY_LEAF_H
#define CONSUL_IDENTITY_LEAF_H

#include "identity/roots.h"
#include "identity/spiffe.h"

#include <time.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

/* One service's leaf at one moment: private key, certificate and intermediates. */
typedef struct consul_leaf consul_leaf;

consul_leaf *consul_leaf_ref(consul_leaf *leaf);
void consul_leaf_unref(consul_leaf *leaf);
EVP_PKEY *consul_leaf_key(const consul_leaf *leaf);               /* borrowed */
X509 *consul_leaf_cert(const consul_leaf *leaf);                  /* borrowed */
const STACK_OF(X509) *consul_leaf_chain(const consul_leaf *leaf); /* borrowed; intermediates */
const consul_spiffe_id *consul_leaf_id(const consul_leaf *leaf);  /* borrowed */

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
