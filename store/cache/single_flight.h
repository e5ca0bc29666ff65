/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request for all threads with the same question at a time.
 *
 * A thread never gets the answer to a question that was sent before the thread came. A denial could
 * have come into force in between. So a thread that finds its question on its way does not join it.
 * It waits for that answer, and asks again for itself and for all threads that have come until
 * then. At most two requests of a question are on their way at a time. With a slow agent, one more
 * joins them every CONSUL_QUEUED_MS. Of a request without a peer, at most one is on its way.
 *
 * Any thread; the calling thread waits. No lock is held during a request.
 */
#ifndef CONSUL_CACHE_SINGLE_FLIGHT_H
#define CONSUL_CACHE_SINGLE_FLIGHT_H

#include "agent/authorize.h"
#include "identity/roots.h"

#define CONSUL_QUEUED_MS 10 /* the longest wait for the answer to the same question before */

/* A function that asks the agent, and returns its verdict. */
typedef enum consul_verdict (*consul_ask)(void *arg, consul_error *err);

/*
 * Call `ask`, or wait for the `ask` of another thread that was called later than this function.
 * Return its verdict. For all but a yes, `err` has the reason. Two questions are the same with the
 * same `of` (a store), target and chain digest. A question without a chain digest is never shared.
 * A request without a peer has neither target nor chain, and `of` is all of its key.
 */
enum consul_verdict consul_single_flight(const void *of, const consul_spiffe_id *target,
                                         const unsigned char chain[CONSUL_DIGEST_LEN],
                                         consul_deadline deadline, consul_ask ask, void *arg,
                                         consul_error *err);

/* Forget all questions in the child of a fork, whose threads are gone. The lock is held. */
void consul_single_flight_forget(void);

#endif
