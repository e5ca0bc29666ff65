/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one lock of all stores of this process. It is held for a few instructions and never across
 * I/O. It is the innermost of our locks. A fork waits for it, and the child gets it unlocked. Any
 * thread.
 */
#ifndef CONSUL_BASE_LOCK_H
#define CONSUL_BASE_LOCK_H

#include "base/clock.h"

#include <pthread.h>
#include <stdbool.h>

/* Take the lock, and release it. */
void consul_lock(void);
void consul_unlock(void);

/* Make the lock anew, in the child of a bare fork. A thread of its parent may have had it. */
void consul_lock_renew(void);

/* Make a condition to wait for. Return false where the system has no resources for it. */
bool consul_condition_make(pthread_cond_t *condition);

/* Wait with the lock held, and without it meanwhile. Return false after the deadline. */
bool consul_condition_wait(pthread_cond_t *condition, consul_deadline deadline);

#endif
