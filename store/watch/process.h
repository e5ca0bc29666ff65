/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watches of this process: their ends at exit, and over a fork. Any thread.
 *
 * All threads end when the process exits. A thread works under consul_work_lock, for which a fork
 * waits. So no lock of libcrypto or libcurl is held by it then. The child has no threads. It closes
 * their descriptors, and leaves their libcurl handles behind.
 */
#ifndef CONSUL_WATCH_PROCESS_H
#define CONSUL_WATCH_PROCESS_H

#include "watch/state.h"

/* The lock that is held while a thread of a watch ends. It is taken before the other locks. */
extern pthread_mutex_t consul_stop_lock;

/* Add a watch to those of the process, and remove it once it is closed. The process borrows it meanwhile. */
void consul_process_add(consul_watch *watch);
void consul_process_remove(consul_watch *watch);

/*
 * Leave the watches of the parent behind, where this process is the child of a bare fork. No watch vouches for its entries
 * then, as after any fork. Each function of store.h that uses an entry calls this first. It costs no more than a look.
 */
void consul_process_look(void);

/*
 * Start the thread of a watch, with or without a slot, unless the watch is closed or the process
 * exits. The lock of base/lock.h is held. A thread that cannot start is no error.
 */
void consul_process_start(consul_watch *watch, bool with_slot);

/* End the thread of a watch, and wait for its end. End the token of its login, too, where no child may use it. */
void consul_process_stop(consul_watch *watch);

#endif
