/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/vouching.h"

#include "base/clock.h"
#include "cache/family_fields.h"

#define LONGEST_VOUCHING_MS 3600000 /* above the longest wait of a query */
#define LOCAL_EPOCHS \
    (UINT64_C(1)     \
     << 62) /* the epochs of a process that shares nothing are above those of families */

/* Write what the watcher says. A watcher that ends amid this leaves an odd turn, and the next one makes it even. */
static void write_vouching(consul_family_place *place, unsigned voucher,
                           const consul_vouching *vouching)
{
    unsigned turn = atomic_load(&place->turn) | 1;

    atomic_store(&place->turn, turn);
    atomic_store(&place->voucher, voucher);
    atomic_store(&place->vouched, vouching->mark);
    atomic_store(&place->fresh_until, vouching->fresh_until);
    atomic_store(&place->epoch, vouching->epoch);
    atomic_store(&place->epoch_began, vouching->epoch_began);
    atomic_store(&place->turn, turn + 1);
}

bool consul_family_watch(consul_family *family, consul_watcher *watcher)
{
    static const consul_vouching nothing;
    size_t i;

    watcher->word = NULL;
    if (!consul_family_is_known(family) || !consul_watcher_claim(watcher, &family->memory->watcher))
        return false;
    for (i = 0; i < CONSUL_FAMILY_PLACES; i++)
        write_vouching(&family->memory->places[i], 0, &nothing);
    atomic_store(&family->watching, consul_watcher_of(&family->memory->watcher));
    return true;
}

void consul_family_leave(consul_family *family, consul_watcher *watcher)
{
    if (watcher->word == NULL)
        return;
    atomic_store(&family->watching, 0);
    consul_watcher_leave(watcher);
}

void consul_family_forget_claim(consul_family *family)
{
    if (family != NULL)
        atomic_store(&family->watching, 0);
}

bool consul_family_is_watched(const consul_family *family)
{
    return consul_family_is_known(family) && consul_watcher_of(&family->memory->watcher) != 0;
}

void consul_family_vouch(const consul_family *family, consul_family_place *place,
                         const consul_vouching *vouching)
{
    unsigned watching;

    if (consul_family_shares(family, place) && (watching = atomic_load(&family->watching)) != 0)
        write_vouching(place, watching, vouching);
}

bool consul_family_vouches(const consul_family *family, consul_family_place *place, uint64_t mark,
                           consul_vouching *vouching)
{
    unsigned turn, voucher;
    int64_t left;

    *vouching = (consul_vouching){0};
    if (mark == 0 || !consul_family_shares(family, place))
        return false;
    turn = atomic_load(&place->turn);
    voucher = atomic_load(&place->voucher);
    vouching->mark = atomic_load(&place->vouched);
    vouching->fresh_until = atomic_load(&place->fresh_until);
    vouching->epoch = atomic_load(&place->epoch);
    vouching->epoch_began = atomic_load(&place->epoch_began);
    left = vouching->fresh_until - consul_now_ms();
    return turn % 2 == 0 && vouching->mark == mark && left > 0 && left < LONGEST_VOUCHING_MS
           && voucher != 0 && atomic_load(&place->mark) == mark && atomic_load(&place->turn) == turn
           && consul_watcher_of(&family->memory->watcher) == voucher;
}

uint64_t consul_family_next_epoch(const consul_family *family)
{
    static uint64_t last = LOCAL_EPOCHS;

    return consul_family_is_known(family) ? atomic_fetch_add(&family->memory->last_epoch, 1) + 1
                                          : ++last;
}

void consul_family_note_index(const consul_family *family, consul_family_place *place,
                              uint64_t index, int64_t changed)
{
    if (!consul_family_shares(family, place))
        return;
    if (changed > atomic_load(&place->changed))
        atomic_store(&place->changed, changed);
    atomic_store(&place->last_index, index);
}

int64_t consul_family_changed(const consul_family *family, const consul_family_place *place)
{
    return consul_family_shares(family, place) ? atomic_load(&place->changed) : 0;
}

uint64_t consul_family_index(const consul_family *family, const consul_family_place *place)
{
    return consul_family_shares(family, place) ? atomic_load(&place->last_index) : 0;
}
