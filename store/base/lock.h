/*
 * The one lock of this process's stores, held for a few instructions and never across I/O. A fork
 * waits for it. It is the innermost of our locks.
 */
#ifndef CONSUL_BASE_LOCK_H
#define CONSUL_BASE_LOCK_H

#include "base/clock.h"

#include <pthread.h>
#include <stdbool.h>

void consul_lock(void);
void consul_unlock(void);

/* A condition to wait for with the lock held, which is let go meanwhile; false is no longer. */
bool consul_condition_make(pthread_cond_t *condition);
bool consul_condition_wait(pthread_cond_t *condition, consul_deadline deadline);

/*
 * Keep the host from cancelling this thread while it holds a lock or a request; the value returned is
 * for consul_allow_cancel.
 */
int consul_forbid_cancel(void);
void consul_allow_cancel(int state);

#endif
