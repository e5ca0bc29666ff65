/* SPDX-License-Identifier: Apache-2.0 */
/* The answers to the queries of a watch, in the cache and for the family. In the watch's thread, under consul_work_lock. */
#ifndef CONSUL_WATCH_KEEP_H
#define CONSUL_WATCH_KEEP_H

#include "watch/state.h"

/*
 * Keep the answer to a query, and vouch for it until the next one must have ended. Return 0 for an
 * invalid answer. `*is_news` is true where it differs from the kept one.
 */
int consul_query_keep(const consul_watch *watch, const consul_query *q, const consul_answer *answer,
                      bool *is_news);

#endif
