/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cancellation: a host may cancel any of its threads, also in a call of the store. Any thread, and
 * no call fails.
 */
#ifndef CONSUL_BASE_CANCEL_H
#define CONSUL_BASE_CANCEL_H

/*
 * Keep the host from cancelling this thread while the thread holds a lock or a request. Return the
 * state for consul_allow_cancel.
 */
int consul_forbid_cancel(void);

/* Restore the state that consul_forbid_cancel returned. */
void consul_allow_cancel(int state);

#endif
