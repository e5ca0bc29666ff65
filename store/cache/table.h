/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of one store, by kind, service and scope. Entries live as long as their table. Any
 * thread: the functions take the lock of base/lock.h, but for consul_table_stop_vouching. The child
 * of a fork keeps the table.
 */
#ifndef CONSUL_CACHE_TABLE_H
#define CONSUL_CACHE_TABLE_H

#include "cache/entry.h"

typedef struct consul_table consul_table;

/*
 * Return an empty table. It borrows the memory of its family, which may be NULL. Return NULL with an error without
 * memory.
 */
consul_table *consul_table_new(consul_family *family, consul_error *err);

/* Free the table and its entries. NULL is allowed. */
void consul_table_free(consul_table *table);

/*
 * Find or make an entry, count a use, and return it, borrowed. `service` is "" for roots. Return
 * NULL with an error without memory, or beyond the limit.
 */
consul_entry *consul_table_entry(consul_table *table, enum consul_kind kind, const char *service,
                                 const consul_scope *scope, consul_error *err);

/*
 * Return the entry for the intentions of all services, or NULL. A namespace or a partition has no
 * such entry. Its list leaves out intentions that count there: for any namespace, or of another
 * owner.
 */
consul_entry *consul_table_all_intentions(consul_table *table, const consul_scope *scope);

/*
 * Return the entry of this kind that was used most since the last call. Return NULL where no entry
 * of this kind exists. The entry for the intentions of all services is left out.
 */
consul_entry *consul_table_most_used(consul_table *table, enum consul_kind kind);

/*
 * Return true where a watch vouches for the last used roots, and for the last used leaf or intentions. The
 * watch may be a sibling's. The lock is held.
 */
bool consul_table_is_served(consul_table *table);

/* Note for all entries that no watch of this process vouches for them any more. The lock is held. */
void consul_table_stop_vouching(consul_table *table);

#endif
