/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leaves that a program loads by halves: the certificate, and the private key. Both have to be of one leaf, also where
 * it is renewed in between. Any thread.
 */
#ifndef CONSUL_PAIRS_H
#define CONSUL_PAIRS_H

#include "identity/leaf.h"
#include "identity/uri.h"

typedef struct consul_pairs consul_pairs;

/* Return no pairs, or NULL without memory. Each leaf is the live one then. */
consul_pairs *consul_pairs_new(void);
void consul_pairs_free(consul_pairs *pairs);

/*
 * Note that this thread loads a half by this URI, and `*leaf` is the live leaf. Where the load follows others of the thread
 * and the URI within a second, `*leaf` becomes their leaf. Both are references. `uri` has all names. `opened` is the moment
 * of consul_now_ms at which the load began.
 */
void consul_pairs_complete(consul_pairs *pairs, const consul_uri *uri, bool is_key, int64_t opened,
                           consul_leaf **leaf);

#endif
