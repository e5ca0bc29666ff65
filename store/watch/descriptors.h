/* The descriptors of the thread of a watch, in that thread, and in the child of a fork. */
#ifndef CONSUL_WATCH_DESCRIPTORS_H
#define CONSUL_WATCH_DESCRIPTORS_H

#include "watch/state.h"

void consul_descriptors_init(consul_watch_thread *r);
bool consul_descriptors_make_waking(consul_watch_thread *r);
void consul_descriptors_make_multi(consul_watch_thread *r); /* NULL stays NULL where it fails */
bool consul_descriptors_are_ours(consul_watch_thread *r);
void consul_descriptors_close(consul_watch_thread *r); /* those that are ours */

/*
 * libcurl has worked, on descriptors that were all ours before. It closes some sockets by itself that
 * have not been connected, without a word: these are forgotten. A connected one that is gone was
 * closed by the host, which is found out the next time.
 */
void consul_descriptors_forget_closed(consul_watch_thread *r);

/* For CURLOPT_OPENSOCKETFUNCTION and CURLOPT_CLOSESOCKETFUNCTION, with the thread. */
curl_socket_t consul_descriptors_open_socket(void *arg, curlsocktype purpose,
                                             struct curl_sockaddr *address);
int consul_descriptors_close_socket(void *arg, curl_socket_t fd);

#endif
