/* The fields of a store: for the files of this folder. */
#ifndef CONSUL_STORE_FIELDS_H
#define CONSUL_STORE_FIELDS_H

#include "cache/table.h"
#include "cache/verdicts.h"
#include "store.h"
#include "watch/watch.h"

#include <stdatomic.h>

struct consul_store {
    atomic_int refs;
    OSSL_LIB_CTX *libctx;
    consul_settings *settings;
    consul_agent *agent;
    consul_table *table;
    consul_watch *watch;
    consul_verdicts *verdicts;
};

/* What was asked for (NULL for nothing), and the configuration where nothing was. */
consul_scope consul_store_scope(const consul_store *store, const consul_scope *asked);

/*
 * Return 1 where there is use in asking the agent. An agent that hangs would hold up everybody for the
 * whole timeout.
 */
int consul_store_check_agent(consul_store *store, const consul_request *request, consul_error *err);

/* Ask the agent for an entry, unless it hangs; a failure is told to the watch. Free the answer. */
int consul_store_ask(consul_store *store, const consul_entry *entry, uint64_t index, int64_t wait,
                     consul_deadline deadline, consul_answer *answer, consul_error *err);

#endif
