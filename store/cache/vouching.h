/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vouching of the watcher of a family. One thread of one process watches, and all processes of the family believe it
 * while it lives: cache/watcher.h. Any thread, but for the first two functions.
 */
#ifndef CONSUL_CACHE_VOUCHING_H
#define CONSUL_CACHE_VOUCHING_H

#include "cache/family.h"
#include "cache/watcher.h"

/*
 * Claim to watch for the family, in the thread of a watch, which gives the claim back with consul_family_leave. Return
 * false while another thread watches, and where nothing is shared. All that the last watcher has vouched for is void then.
 */
bool consul_family_watch(consul_family *family, consul_watcher *watcher);
void consul_family_leave(consul_family *family, consul_watcher *watcher);

/* Forget the claim of the parent, in the child of a fork. The parent still watches. NULL is allowed. */
void consul_family_forget_claim(consul_family *family);

/* Return true while a thread of any process watches for the family. */
bool consul_family_is_watched(const consul_family *family);

/* The watcher's word about one answer. */
typedef struct consul_vouching {
    uint64_t mark;               /* the start of the digest of the vouched answer */
    consul_deadline fresh_until; /* 0 where nothing is vouched for */
    uint64_t epoch;              /* for intentions: consul_entry_epoch */
    int64_t epoch_began;         /* in milliseconds */
} consul_vouching;

/*
 * Vouch for an answer, where the watcher is of this process. Otherwise nothing happens. The lock of base/lock.h is held.
 */
void consul_family_vouch(const consul_family *family, consul_family_place *place,
                         const consul_vouching *vouching);

/*
 * Return true where the watcher lives, and vouches for the family's present answer of the mark `mark`. `*vouching` is the
 * watcher's word about it.
 */
bool consul_family_vouches(const consul_family *family, consul_family_place *place, uint64_t mark,
                           consul_vouching *vouching);

/* Return a new epoch: a number that no process of the family has had. The lock of base/lock.h is held. */
uint64_t consul_family_next_epoch(const consul_family *family);

/*
 * Note a change of intentions at a moment, in milliseconds, and the index of the agent's answer. Return the moment of the
 * last change that a watcher has noted, or 0, and the last index, or 0.
 */
void consul_family_note_index(const consul_family *family, consul_family_place *place,
                              uint64_t index, int64_t changed);
int64_t consul_family_changed(const consul_family *family, const consul_family_place *place);
uint64_t consul_family_index(const consul_family *family, const consul_family_place *place);

#endif
