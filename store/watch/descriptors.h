/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptors of the thread of a watch. A host may close all descriptors that it does not know,
 * and a fork inherits all. The inodes tell the thread's own ones (base/descriptor.h). A number that
 * leads to another file by now is left alone.
 *
 * Only the thread calls these functions. The child of a fork calls consul_descriptors_close.
 */
#ifndef CONSUL_WATCH_DESCRIPTORS_H
#define CONSUL_WATCH_DESCRIPTORS_H

#include "watch/state.h"

/* Set all descriptors of a new thread to consul_no_descriptor. */
void consul_descriptors_init(consul_watch_thread *r);

/* Open the pair of sockets that wakes the thread. Return false where the system has none. */
bool consul_descriptors_make_waking(consul_watch_thread *r);

/* Make libcurl's multi handle, in `r->multi`. It is NULL after a failure. */
void consul_descriptors_make_multi(consul_watch_thread *r);

/* Return true while all descriptors are still ours. Note the connected ones. */
bool consul_descriptors_are_ours(consul_watch_thread *r);

/* Close the descriptors that are still ours, and forget all. */
void consul_descriptors_close(consul_watch_thread *r);

/*
 * Forget the sockets that libcurl has closed. All descriptors were ours before libcurl worked. It
 * closes some unconnected sockets without a call of its close function. A connected socket that is
 * gone was closed by the host. consul_descriptors_are_ours finds that the next time.
 */
void consul_descriptors_forget_closed(consul_watch_thread *r);

/* Open and close libcurl's sockets (CURLOPT_OPENSOCKETFUNCTION). `arg` is the thread. */
curl_socket_t consul_descriptors_open_socket(void *arg, curlsocktype purpose,
                                             struct curl_sockaddr *address);
int consul_descriptors_close_socket(void *arg, curl_socket_t fd);

#endif
