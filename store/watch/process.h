/*
 * The watches of this process, which all end when it exits, and forget their threads in the child of a
 * fork. Any thread.
 */
#ifndef CONSUL_WATCH_PROCESS_H
#define CONSUL_WATCH_PROCESS_H

#include "watch/state.h"

/* Held while a thread of a watch is ended; taken before the other locks. */
extern pthread_mutex_t consul_stop_lock;

/* Add a watch to those of the process; remove it. */
void consul_process_add(consul_watch *watch);
void consul_process_remove(consul_watch *watch);

/* With the lock held: start the thread of a watch, with or without a slot, if that can be. */
void consul_process_start(consul_watch *watch, bool with_slot);

/* End the thread of a watch, and wait for that. */
void consul_process_stop(consul_watch *watch);

#endif
