/* The queries of a watch, in its thread. */
#ifndef CONSUL_WATCH_QUERIES_H
#define CONSUL_WATCH_QUERIES_H

#include "watch/state.h"

/* Has this query something to do? With the lock of base/lock.h held. */
bool consul_query_is_wanted(const consul_watch *watch, const consul_watch_thread *r, int i);

void consul_queries_begin(consul_watch *watch, consul_watch_thread *r); /* whatever is due */
void consul_queries_finish(consul_watch *watch, consul_watch_thread *r, CURL *curl, CURLcode code);
void consul_query_end(consul_watch_thread *r, consul_query *q);

#endif
