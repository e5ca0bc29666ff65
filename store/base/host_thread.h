/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread of the host that runs libcurl's TLS, where the process can make no thread. libcurl
 * empties the thread's error queue, marks included, and its writes may raise SIGPIPE. Both are the
 * host's.
 */
#ifndef CONSUL_BASE_HOST_THREAD_H
#define CONSUL_BASE_HOST_THREAD_H

#include <stdbool.h>

/* The host's state, of its caller's. */
typedef struct consul_host_thread consul_host_thread;

/*
 * Put the error queue of this thread aside. Block all signals, and the pauses of a job of OpenSSL's. The TLS of a handler
 * or a fibre would be taken for libcurl's. Return the state for consul_host_thread_return, or NULL where the queue cannot be
 * kept. Nothing has changed then.
 */
consul_host_thread *consul_host_thread_leave(void);

/* Restore the queue and the signals, without a SIGPIPE of the meantime. Free the state. */
void consul_host_thread_return(consul_host_thread *host);

#endif
