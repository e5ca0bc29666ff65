/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread of a watch: its start, its end, and the lock it works under. The thread runs the
 * queries on libcurl's multi interface until they have no use. It blocks all signals, which are the
 * host's. A fork leaves the thread behind (watch/process.h).
 */
#ifndef CONSUL_WATCH_THREAD_H
#define CONSUL_WATCH_THREAD_H

#include "watch/state.h"

/*
 * The lock that is held while the thread works, but not while it waits. It is taken before the lock
 * of base/lock.h. A fork holds it, so that the thread holds no lock of libcrypto or libcurl then.
 */
extern pthread_mutex_t consul_work_lock;

/*
 * Start the thread, with or without a slot. watch->thread stays NULL where it cannot start. The
 * lock of base/lock.h is held.
 */
void consul_thread_start(consul_watch *watch, bool with_slot);

/* Wake the thread while it waits. */
void consul_thread_wake(const consul_watch_thread *r);

/* Join a thread that has ended by itself. The lock of base/lock.h is held. */
void consul_thread_reap(consul_watch *watch);

/*
 * End the thread and join it, under consul_stop_lock and without the lock of base/lock.h. A second
 * caller finds no thread, because the first has joined it.
 */
void consul_thread_stop(consul_watch *watch);

/* Leave a thread behind whose libcurl handles cannot be freed. The lock of base/lock.h is held. */
void consul_thread_leave_behind(consul_watch_thread *r);

#endif
