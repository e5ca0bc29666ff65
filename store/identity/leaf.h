/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leaf of one service at one moment. A leaf is shared, immutable and reference-counted, so that
 * any thread may use it. A leaf stays valid in a forked child.
 */
#ifndef CONSUL_IDENTITY_LEAF_H
#define CONSUL_IDENTITY_LEAF_H

#include "base/event.h"
#include "identity/roots.h"
#include "identity/spiffe.h"

#include <time.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

/* A private key, its certificate and the intermediates. */
typedef struct consul_leaf consul_leaf;

/* Return an empty leaf with one reference, for its decoder to fill. Return NULL without memory. */
consul_leaf *consul_leaf_new(consul_error *err);

/* Add a reference, and return the leaf. Drop a reference; NULL is allowed. */
consul_leaf *consul_leaf_ref(consul_leaf *leaf);
void consul_leaf_unref(consul_leaf *leaf);

/* Return a part of the leaf, borrowed. The chain holds the intermediates only. */
EVP_PKEY *consul_leaf_key(const consul_leaf *leaf);
X509 *consul_leaf_cert(const consul_leaf *leaf);
const STACK_OF(X509) *consul_leaf_chain(const consul_leaf *leaf);
const consul_spiffe_id *consul_leaf_id(const consul_leaf *leaf);

/*
 * Check that a decoded leaf is for this service and valid now. Unless `roots` is NULL, check its
 * trust domain and its chain, too. `chains` is true where its chain to these roots was verified
 * before. Return 0 with an error otherwise. `*stale` is true then where a newer leaf or newer roots
 * could pass.
 */
int consul_leaf_check(const consul_leaf *leaf, const consul_roots *roots, const char *service,
                      const consul_scope *scope, bool chains, bool *stale, consul_error *err);

/*
 * Return the moment at which the next certificate of the roots or of the leaf's intermediates
 * expires. The leaf's own certificate does not count.
 */
time_t consul_leaf_next_expiry(const consul_leaf *leaf, const consul_roots *roots);

/* Note the dates of a decoded leaf's certificate. */
void consul_leaf_note_validity(consul_leaf *leaf);

/*
 * Return true in the last quarter of the leaf's life, and set `*stage` to the event of that. Consul's agents
 * renew a leaf in the last 40 to 10 percent of its life.
 */
bool consul_leaf_is_ending(const consul_leaf *leaf, enum consul_event_kind *stage);

#endif
