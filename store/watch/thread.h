/* The thread of a watch: its start, its end, and the lock it works under. */
#ifndef CONSUL_WATCH_THREAD_H
#define CONSUL_WATCH_THREAD_H

#include "watch/state.h"

/*
 * Held while the thread works, but not while it waits; taken before the lock of base/lock.h. A fork holds
 * it, so that no lock of libcrypto's or libcurl's is held by the thread then.
 */
extern pthread_mutex_t consul_work_lock;

/* With the lock of base/lock.h held: start the thread, with or without a slot, if that can be. */
void consul_thread_start(consul_watch *watch, bool with_slot);
void consul_thread_wake(const consul_watch_thread *r);

/* With the lock held: join a thread that has done its last work. */
void consul_thread_reap(consul_watch *watch);

/*
 * End the thread and join it. Without the lock, by one caller at a time: who comes second finds no
 * thread because there is none.
 */
void consul_thread_stop(consul_watch *watch);

/* With the lock held: forget it, as its libcurl handles can not be freed any more. */
void consul_thread_leave_behind(consul_watch_thread *r);

#endif
