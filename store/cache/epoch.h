/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The epoch of a service's intentions: a number that changes with each change of them, seen or perhaps missed. It is in
 * the entry for these intentions. Any thread: the functions take the lock of base/lock.h.
 */
#ifndef CONSUL_CACHE_EPOCH_H
#define CONSUL_CACHE_EPOCH_H

#include "cache/entry.h"

/*
 * Note the answer to a watch of intentions, which vouches until `fresh_until`. `is_news` is true
 * after a change, and after an answer that did not wait for one. An index other than the last one
 * is a change, at any time.
 */
void consul_entry_keep_epoch(consul_entry *entry, bool is_news, uint64_t index,
                             consul_deadline fresh_until);

/* Return the unheeded intentions, or NULL. `*fresh` is true where a watch vouches for them. */
consul_intentions *consul_entry_unheeded(const consul_entry *entry, bool *fresh);

/* Keep unheeded intentions, or NULL, with a reference of their own. */
void consul_entry_keep_unheeded(consul_entry *entry, consul_intentions *unheeded);

/*
 * Return true where a watch has seen a change of intentions after `asked`, in milliseconds. A
 * change in the seconds before counts, too, as the agent's verdicts may lag behind.
 */
bool consul_entry_has_changed(const consul_entry *entry, int64_t asked);

/*
 * Return the epoch of intentions, while a watch vouches for it, or 0. Return 0 in its first
 * seconds, as the agent's verdicts may lag behind its answers to a watch.
 */
uint64_t consul_entry_epoch(const consul_entry *entry);

/* Note the mark of the answer about intentions that this process knows: cache/family.h. */
void consul_entry_set_mark(consul_entry *entry, uint64_t mark);

#endif
