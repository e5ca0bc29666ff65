/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queries and the probes of a watch, in its thread and under consul_work_lock.
 * https://developer.hashicorp.com/consul/api-docs/features/blocking
 */
#ifndef CONSUL_WATCH_QUERIES_H
#define CONSUL_WATCH_QUERIES_H

#include "watch/state.h"

/* Return true where query number `i` has something to do. The lock of base/lock.h is held. */
bool consul_query_is_wanted(const consul_watch *watch, const consul_watch_thread *r, int i);

/* Let the lanes ask anew, without an index, so that their answers come at once. */
void consul_queries_ask_anew(consul_watch_thread *r);

/* Begin all queries that are wanted and due. */
void consul_queries_begin(consul_watch *watch, consul_watch_thread *r);

/* Take the answer to the query of `curl`, which has ended with `code`. */
void consul_queries_finish(consul_watch *watch, consul_watch_thread *r, CURL *curl, CURLcode code);

/* End a query, whether it runs or not. */
void consul_query_end(consul_watch_thread *r, consul_query *q);

#endif
