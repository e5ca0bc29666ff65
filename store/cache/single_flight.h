/* One question for all who ask the same at a time. Any thread. */
#ifndef CONSUL_CACHE_SINGLE_FLIGHT_H
#define CONSUL_CACHE_SINGLE_FLIGHT_H

#include "agent/authorize.h"
#include "identity/roots.h"

#define CONSUL_QUEUED_MS 10 /* for which a question waits for the answer to the one before it */

typedef enum consul_verdict (*consul_ask)(void *arg, consul_error *err);

/*
 * `ask`, or what another thread's `ask` has returned that was called later than this. The same is
 * asked by who has the same store, target and chain of certificates, of which this is the digest. With
 * a digest that is not set, nothing is shared. A question that is not about a peer has no target and
 * no chain, and is one `of` anything else.
 */
enum consul_verdict consul_single_flight(const void *of, const consul_spiffe_id *target,
                                         const unsigned char chain[CONSUL_DIGEST_LEN],
                                         consul_deadline deadline, consul_ask ask, void *arg,
                                         consul_error *err);

/* In the child of a fork, with the lock held: those who asked are not there. */
void consul_single_flight_forget(void);

#endif
