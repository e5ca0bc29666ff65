/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The news between an entry and its family: cache/family.h. An answer of a sibling is decoded and checked like
 * one of the agent's. Any thread: the functions take the lock of base/lock.h.
 */
#ifndef CONSUL_CACHE_HEAR_H
#define CONSUL_CACHE_HEAR_H

#include "cache/entry.h"

/*
 * Keep the answer of the family, where it is of a later request than the kept one. Its certificates are made in `libctx`, which is
 * borrowed. An answer that cannot be decoded changes nothing.
 */
void consul_hear_roots(consul_entry *entry, OSSL_LIB_CTX *libctx);
void consul_hear_leaf(consul_entry *entry, OSSL_LIB_CTX *libctx);

/* Keep the unheeded intentions of the family, where its watcher vouches for them. */
void consul_hear_intentions(consul_entry *entry);

/*
 * Tell the family an answer about intentions to its watch. It counts for siblings once consul_entry_keep_epoch vouches for
 * it.
 */
void consul_tell_intentions(consul_entry *entry, const consul_answer *answer);

/* Tell the family the answer that these kept roots or this leaf are of. `asked` is in microseconds. */
void consul_tell_roots(consul_entry *entry, const consul_roots *roots, const consul_answer *answer,
                       int64_t asked);
void consul_tell_leaf(consul_entry *entry, const consul_leaf *leaf, const consul_answer *answer,
                      int64_t asked);

#endif
