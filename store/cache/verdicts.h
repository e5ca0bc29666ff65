/* Verdicts that are kept, in a bounded number. Any thread. */
#ifndef CONSUL_CACHE_VERDICTS_H
#define CONSUL_CACHE_VERDICTS_H

#include "agent/authorize.h"
#include "identity/roots.h"

/* About so many chains, and so many identities, verdicts are kept at most. */
#define CONSUL_VERDICTS_KEPT 1024

/* A bounded number of them. Of eight pairs none is forgotten for another; of many some are. */
typedef struct consul_verdicts consul_verdicts;

typedef struct consul_kept_verdict {
    enum consul_verdict verdict; /* NONE if there is none */
    uint64_t epoch;              /* in which it was asked for: consul_entry_epoch */
    int64_t asked;               /* and when */
} consul_kept_verdict;

consul_verdicts *consul_verdicts_new(consul_error *err);
void consul_verdicts_free(consul_verdicts *verdicts);

/*
 * Note whether this peer may connect to the target. `chain` is the digest of its certificates. Where
 * that is not set, the verdict counts for the identity only.
 */
void consul_verdicts_note(consul_verdicts *verdicts, const consul_spiffe_id *target,
                          const consul_spiffe_id *peer_id,
                          const unsigned char chain[CONSUL_DIGEST_LEN],
                          const consul_kept_verdict *verdict);

/*
 * What was said about this very chain; NONE where the last verdict about its identity is another, as
 * after a no to one of the same service that has another certificate, or where `chain` is not set.
 */
consul_kept_verdict consul_verdicts_find(const consul_verdicts *verdicts,
                                         const consul_spiffe_id *target,
                                         const consul_spiffe_id *peer_id,
                                         const unsigned char chain[CONSUL_DIGEST_LEN]);

/* What was said last about this identity, whatever its certificate was. */
consul_kept_verdict consul_verdicts_last(const consul_verdicts *verdicts,
                                         const consul_spiffe_id *target,
                                         const consul_spiffe_id *peer_id);

#endif
