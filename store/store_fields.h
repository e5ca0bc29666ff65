/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of a store, for the files of this folder. The store owns all but `libctx`. No field
 * changes after consul_store_new, apart from `refs`, so that any thread may read them.
 */
#ifndef CONSUL_STORE_FIELDS_H
#define CONSUL_STORE_FIELDS_H

#include "cache/table.h"
#include "cache/verdicts.h"
#include "cache/visitors.h"
#include "pairs.h"
#include "store.h"
#include "watch/watch.h"

#include <stdatomic.h>

struct consul_store {
    atomic_int refs;
    OSSL_LIB_CTX *libctx; /* borrowed */
    consul_settings *settings;
    consul_agent *agent;
    consul_family *family; /* NULL without memory to share */
    consul_table *table;
    consul_watch *watch;
    consul_verdicts *verdicts;
    consul_visitors *visitors; /* NULL without memory */
    consul_pairs *pairs;       /* NULL without memory */
};

/* Return the names of `asked`, or the configured ones where it is NULL or has none. */
consul_scope consul_store_scope(const consul_store *store, const consul_scope *asked);

/*
 * Return 1 where a request has a chance. Return 0 with an error while the agent hangs, as each
 * handshake would wait for the whole timeout.
 */
int consul_store_check_agent(consul_store *store, const consul_request *request, consul_error *err);

/*
 * Ask the agent for an entry, unless it hangs, and note a failure in the watch. Return 0 with an
 * error without an answer. The caller frees the answer in both cases. `wait` is in milliseconds.
 */
int consul_store_ask(consul_store *store, const consul_entry *entry, uint64_t index, int64_t wait,
                     consul_deadline deadline, consul_answer *answer, consul_error *err);

#endif
