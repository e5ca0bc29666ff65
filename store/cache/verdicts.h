/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kept verdicts of a store, in a bounded number, by chain and by identity. Any thread: the
 * functions take the lock of base/lock.h. The child of a fork keeps the verdicts.
 */
#ifndef CONSUL_CACHE_VERDICTS_H
#define CONSUL_CACHE_VERDICTS_H

#include "agent/authorize.h"
#include "cache/family.h"
#include "identity/roots.h"

/* The greatest number of kept verdicts by chain, and of those by identity. */
#define CONSUL_VERDICTS_KEPT 1024

/* The kept verdicts. Up to eight pairs never displace each other. */
typedef struct consul_verdicts consul_verdicts;

typedef struct consul_kept_verdict {
    enum consul_verdict verdict; /* NONE without a verdict */
    uint64_t epoch;              /* the epoch of the request: consul_entry_epoch */
    int64_t asked;               /* the moment of the request, in milliseconds */
} consul_kept_verdict;

/*
 * Return an empty set of verdicts. It borrows the memory of its family, which may be NULL, and shares the verdicts there.
 * Return NULL with an error without memory.
 */
consul_verdicts *consul_verdicts_new(const consul_family *family, consul_error *err);

/* Free the verdicts. NULL is allowed. */
void consul_verdicts_free(consul_verdicts *verdicts);

/*
 * Keep a verdict on whether this peer may connect to the target. `chain` is the digest of its
 * certificates. Without a digest, the verdict counts for the identity only.
 */
void consul_verdicts_note(consul_verdicts *verdicts, const consul_spiffe_id *target,
                          const consul_spiffe_id *peer_id,
                          const unsigned char chain[CONSUL_DIGEST_LEN],
                          const consul_kept_verdict *verdict);

/*
 * Return the kept verdict on this very chain. It is CONSUL_VERDICT_NONE without a digest, and where
 * the last verdict on its identity differs. A no to another certificate of the service makes such a
 * difference.
 */
consul_kept_verdict consul_verdicts_find(const consul_verdicts *verdicts,
                                         const consul_spiffe_id *target,
                                         const consul_spiffe_id *peer_id,
                                         const unsigned char chain[CONSUL_DIGEST_LEN]);

/* Return the last verdict on this identity, with any certificate. */
consul_kept_verdict consul_verdicts_last(const consul_verdicts *verdicts,
                                         const consul_spiffe_id *target,
                                         const consul_spiffe_id *peer_id);

#endif
