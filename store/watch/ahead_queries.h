/* SPDX-License-Identifier: Apache-2.0 */
/* The questions ahead as queries of the thread of a watch, and their end (cache/ahead.h). */
#ifndef CONSUL_WATCH_AHEAD_QUERIES_H
#define CONSUL_WATCH_AHEAD_QUERIES_H

#include "watch/state.h"

/* Return true where a question of this kind waits to be sent. The lock of base/lock.h is held. */
bool consul_ahead_is_wanted(const consul_watch *watch, enum consul_ahead_kind kind);

/*
 * Give the question of a kind to the query that sends it now. Return false where it does not wait any more, as at the end of
 * the process. Only the thread calls this, and the next two functions.
 */
bool consul_ahead_begin(consul_watch *watch, consul_query *q, enum consul_ahead_kind kind);

/* Take the answer to the question of a query, which has ended with `code`. */
void consul_ahead_finish(consul_watch *watch, consul_query *q, CURLcode code);

/* Leave the question of a query. It has no verdict, unless it was answered. */
void consul_ahead_end(consul_query *q);

#endif
