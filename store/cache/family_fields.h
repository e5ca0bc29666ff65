/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of the memory of a family, for family.c and vouching.c. Each is atomic, or never changes. */
#ifndef CONSUL_CACHE_FAMILY_FIELDS_H
#define CONSUL_CACHE_FAMILY_FIELDS_H

#include "cache/family.h"

#include <sys/types.h>

#define CONSUL_FAMILY_SEAL_WORDS (CONSUL_DIGEST_LEN / sizeof(uint64_t))
#define CONSUL_FAMILY_BODY_MAX \
    32767                      /* bytes of a shared answer; roots and a leaf have some thousand */
#define CONSUL_FAMILY_PLACES 8 /* roots, a leaf and intentions of one service need four */
/* Compared as a whole, as a sibling that lies may leave a name without its NUL. */
typedef struct place_key {
    int kind;
    char service[CONSUL_NAME_MAX + 1];
    char ns[CONSUL_NAME_MAX + 1], partition[CONSUL_NAME_MAX + 1], dc[CONSUL_NAME_MAX + 1];
} place_key;

struct consul_family_place {
    atomic_int taken; /* enum taking; a process that ends amid the taking leaves the place unused */
    place_key key;    /* it does not change any more in a place that is taken */
    /* The answer: */
    _Atomic uint64_t mark; /* the start of the digest of the body, or 0 */
    _Atomic int64_t asked;
    _Atomic uint64_t check; /* of these two */
    _Atomic uint64_t index, len;
    _Atomic uint64_t seal[CONSUL_FAMILY_SEAL_WORDS]; /* the SHA-256 of head and body */
    _Atomic uint64_t body[(CONSUL_FAMILY_BODY_MAX + 1) / sizeof(uint64_t)];
    _Atomic int64_t claimed; /* the moment of the last claim to ask, in microseconds */
    /* The watcher's word. It alone writes these, one thread at a time: */
    atomic_uint turn;         /* an odd number while it writes */
    atomic_uint voucher;      /* the number of its thread */
    _Atomic uint64_t vouched; /* consul_vouching, field by field */
    _Atomic int64_t fresh_until;
    _Atomic uint64_t epoch;
    _Atomic int64_t epoch_began;
    _Atomic uint64_t last_index;
    _Atomic int64_t
        changed; /* the moment of the last change of intentions, in milliseconds, or 0 */
};

#define CONSUL_FAMILY_VERDICT_SETS 64
#define CONSUL_FAMILY_VERDICT_WAYS 4

typedef struct consul_family_verdict {
    _Atomic uint64_t key[CONSUL_FAMILY_SEAL_WORDS];
    atomic_uint verdict; /* enum consul_verdict */
    _Atomic uint64_t epoch;
    _Atomic int64_t asked;  /* in milliseconds; 0 in a free place */
    _Atomic uint64_t check; /* of all these */
} consul_family_verdict;

typedef struct consul_family_verdict_set {
    consul_family_verdict places[CONSUL_FAMILY_VERDICT_WAYS];
    _Atomic int64_t forgotten; /* the latest moment of a question whose verdict lost its place */
} consul_family_verdict_set;

typedef struct consul_family_memory {
    atomic_uint watcher; /* a word of cache/watcher.h */
    _Atomic uint64_t last_epoch;
    atomic_uint peers;           /* handshakes with peers of the mesh, up to two */
    _Atomic int64_t used;        /* the moment of the last handshake, in milliseconds */
    _Atomic int64_t spent_until; /* of the allowance for watches of short-lived processes */
    consul_load load;
    consul_family_verdict_set verdicts[CONSUL_FAMILY_VERDICT_SETS];
    consul_family_place places[CONSUL_FAMILY_PLACES];
} consul_family_memory;

struct consul_family {
    consul_family_memory *memory;
    uid_t maker;
    atomic_bool is_ours; /* true where this process is of the maker's user */
    atomic_uint
        watching; /* the number of the thread of this process that watches for the family, or 0 */
};

/* Return true where this process shares the memory. */
static inline bool consul_family_is_known(const consul_family *family)
{
    return family != NULL && atomic_load_explicit(&family->is_ours, memory_order_relaxed);
}

/* Return true where this process shares a place. */
static inline bool consul_family_shares(const consul_family *family,
                                        const consul_family_place *place)
{
    return place != NULL && consul_family_is_known(family);
}

#endif
