/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/epoch.h"

#include "base/lock.h"

#define SETTLING_MS 3000 /* the longest time for the agent's verdicts to follow a change */

void consul_entry_keep_epoch(consul_entry *entry, bool is_news, uint64_t index,
                             consul_deadline fresh_until)
{
    uint64_t last;

    consul_lock();
    last = entry->index != 0 ? entry->index : consul_family_index(entry->family, entry->place);
    if (last != 0 && index != last)
        entry->changed = consul_now_ms();
    entry->index = index;
    consul_family_note_index(entry->family, entry->place, index, entry->changed);
    if (is_news || !consul_entry_is_watched(entry)) {
        entry->epoch = consul_family_next_epoch(entry->family);
        entry->epoch_began = consul_now_ms();
    }
    entry->fresh_until = fresh_until;
    consul_entry_vouch(entry);
    consul_unlock();
}

uint64_t consul_entry_epoch(const consul_entry *entry)
{
    consul_vouching vouching = {.epoch = 0};

    consul_lock();
    if (consul_entry_is_watched(entry))
        vouching = (consul_vouching){.epoch = entry->epoch, .epoch_began = entry->epoch_began};
    else if (!consul_family_vouches(entry->family, entry->place, entry->mark, &vouching))
        vouching.epoch = 0;
    consul_unlock();
    return consul_deadline_after(-SETTLING_MS) >= vouching.epoch_began ? vouching.epoch : 0;
}

void consul_entry_set_mark(consul_entry *entry, uint64_t mark)
{
    consul_lock();
    entry->mark = mark;
    consul_unlock();
}

consul_intentions *consul_entry_unheeded(const consul_entry *entry, bool *fresh)
{
    consul_intentions *unheeded;

    consul_lock();
    unheeded = consul_intentions_ref(entry->unheeded);
    *fresh = unheeded != NULL && consul_entry_is_fresh(entry);
    consul_unlock();
    return unheeded;
}

void consul_entry_keep_unheeded(consul_entry *entry, consul_intentions *unheeded)
{
    consul_intentions *old;

    consul_lock();
    old = entry->unheeded;
    entry->unheeded = consul_intentions_ref(unheeded);
    consul_unlock();
    consul_intentions_unref(old);
}

bool consul_entry_has_changed(const consul_entry *entry, int64_t asked)
{
    int64_t changed = consul_family_changed(entry->family, entry->place);

    consul_lock();
    if (entry->changed > changed)
        changed = entry->changed;
    consul_unlock();
    return changed != 0 && asked < changed + SETTLING_MS;
}
