/* The entries of one store, by what they are of. Any thread. */
#ifndef CONSUL_CACHE_TABLE_H
#define CONSUL_CACHE_TABLE_H

#include "cache/entry.h"

/* The entries of one store. They live as long as it does. */
typedef struct consul_table consul_table;

consul_table *consul_table_new(consul_error *err);
void consul_table_free(consul_table *table);

/* The entry of this kind, made if there is none. `service` is "" for roots. */
consul_entry *consul_table_entry(consul_table *table, enum consul_kind kind, const char *service,
                                 const consul_scope *scope, consul_error *err);

/*
 * Everybody's intentions. NULL in a namespace or a partition, whose list need not show all that
 * count there: there are some for any namespace, and some that another one owns.
 */
consul_entry *consul_table_all_intentions(consul_table *table, const consul_scope *scope);

/*
 * The one of this kind that was used most since the last call, of intentions of one service; NULL if
 * none was ever.
 */
consul_entry *consul_table_most_used(consul_table *table, enum consul_kind kind);

/* No watch vouches for anything any more. With the lock held. */
void consul_table_stop_vouching(consul_table *table);

#endif
