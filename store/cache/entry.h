/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries: the agent's last answers, and the time for which each counts.
 *
 * Entries belong to a table (cache/table.h), and live as long as its store. Any thread: the
 * functions take the lock of base/lock.h. Functions return snapshots with a reference, which the
 * caller drops. The child of a fork keeps the entries, and no watch vouches for them. Times have
 * the unit of base/clock.h: moments of handshakes in microseconds, others in milliseconds.
 */
#ifndef CONSUL_CACHE_ENTRY_H
#define CONSUL_CACHE_ENTRY_H

#include "agent/intentions.h"
#include "agent/request.h"
#include "cache/vouching.h"
#include "identity/snapshots.h"

/* The greatest ages of an answer in a busy process: without a request, and during a request. */
#define CONSUL_CROWD_AGE_US 40000
#define CONSUL_CROWD_AGE_ASKED_US 100000

/*
 * The limits of doubts: the number at once, the interval in the long run, and its share for one
 * doubt.
 */
#define CONSUL_DOUBTS_AT_ONCE 3
#define CONSUL_DOUBT_MS 1000
#define CONSUL_DOUBT_SHARE 10 /* a tenth of the time at most */

enum consul_kind {
    CONSUL_KIND_ROOTS,
    CONSUL_KIND_LEAF,
    CONSUL_KIND_INTENTIONS, /* for their changes, and for the unheeded ones */
    CONSUL_KINDS
};

/* An entry. Its key is the kind, the service and the scope, and never changes. */
typedef struct consul_entry consul_entry;
struct consul_entry {
    consul_entry *next;
    enum consul_kind kind;
    char service[CONSUL_NAME_MAX + 1]; /* "" for roots, and for the intentions of all services */
    consul_scope scope;
    const consul_family *family; /* borrowed; NULL where nothing is shared */
    consul_family_place *place;  /* likewise */
    /* Under the lock: */
    consul_roots *roots;   /* NULL before the first answer, and in other kinds */
    consul_leaf *leaf;     /* likewise */
    consul_roots *checked; /* the roots at the end of the leaf's chain, or NULL */
    time_t checked_until;  /* the moment at which a certificate of that chain may expire */
    int64_t asked;         /* the moment of a handshake's request for the answer, or 0 */
    int64_t watched;       /* the moment of the last answer to a watch, in microseconds, or 0 */
    int64_t being_asked;   /* the moment of the last request of a crowd, or 0 */
    consul_deadline fresh_until; /* the end of a watch's vouching, 0 without it */
    uint64_t epoch;              /* a new number after each change, seen or perhaps missed */
    int64_t epoch_began;         /* in milliseconds */
    uint64_t uses;               /* the number of uses since consul_table_most_used */
    int64_t doubts_paid;         /* the end of the doubts' used allowance, in milliseconds */
    uint64_t index;              /* X-Consul-Index of the last answer, or 0 */
    uint64_t mark;               /* of the last answer about intentions: consul_family_mark; or 0 */
    consul_intentions *unheeded; /* from the last answer to a watch, NULL without any */
    int64_t changed;             /* the moment of the last change of intentions, or 0 */
};

/* The request that an answer belongs to. */
enum consul_origin {
    CONSUL_ASKED,      /* a handshake's, which yields to the answer of a watch */
    CONSUL_ASKED_ANEW, /* a handshake's that doubts the entry */
    CONSUL_WATCHED     /* a query's */
};

/* A moment before every answer. */
#define CONSUL_EVER INT64_MIN

/*
 * Return the kept snapshot, if a watch vouches for it or it was asked for at `since` or later.
 * Return NULL otherwise.
 */
consul_roots *consul_entry_roots(consul_entry *entry, int64_t since);
consul_leaf *consul_entry_leaf(consul_entry *entry, int64_t since);

/*
 * Return the kept roots like consul_entry_roots, for a handshake that began at `since`. A watch
 * vouches for two seconds at most here, as it may be broken without a sign. Then one handshake gets
 * NULL, and asks. The others get the roots for one second more. The roots may be as old as a leaf of a busy process, where `is_busy` is true.
 */
consul_roots *consul_entry_roots_looked_at(consul_entry *entry, int64_t since, int64_t now,
                                           bool is_busy);

/*
 * Return the kept leaf like consul_entry_leaf, for a handshake of a busy process that began at
 * `since`. The leaf may be CONSUL_CROWD_AGE_US old. Then one handshake gets NULL, and asks. The
 * others get the leaf until it is CONSUL_CROWD_AGE_ASKED_US old.
 */
consul_leaf *consul_entry_leaf_when_busy(consul_entry *entry, int64_t since, int64_t now);

/*
 * Check a leaf like consul_leaf_check, with `roots` or with NULL. Return 1 where it is good now.
 * The verification of its chain costs a tenth of a handshake, and happens once for each pair.
 */
int consul_entry_check_leaf(consul_entry *entry, const consul_leaf *leaf, consul_roots *roots,
                            bool *stale, consul_error *err);

/*
 * Decode an answer, or return the kept snapshot of an equal answer. Return NULL with an error for
 * an invalid answer.
 */
consul_roots *consul_entry_decode_roots(consul_entry *entry, const consul_answer *answer,
                                        OSSL_LIB_CTX *libctx, consul_error *err);
consul_leaf *consul_entry_decode_leaf(consul_entry *entry, const consul_answer *answer,
                                      OSSL_LIB_CTX *libctx, consul_error *err);

/*
 * Keep a checked snapshot, with a reference of its own, unless the kept one may be newer. `asked`
 * is the moment of the request, in microseconds. A watch vouches for its answer until
 * `fresh_until`; others give 0. `checked` are the roots at the end of the leaf's chain, or NULL.
 * Return false for an answer that is not kept.
 */
bool consul_entry_keep_roots(consul_entry *entry, consul_roots *roots, enum consul_origin origin,
                             int64_t asked, consul_deadline fresh_until);
bool consul_entry_keep_leaf(consul_entry *entry, consul_leaf *leaf, consul_roots *checked,
                            enum consul_origin origin, int64_t asked, consul_deadline fresh_until);

/*
 * Return true where a watch vouches for the kept answer: this process's, or a sibling's. The lock of base/lock.h is held
 * here, and in the next three functions.
 */
bool consul_entry_is_fresh(const consul_entry *entry);

/* Return the start of the digest of the kept answer, or 0: consul_family_mark. */
uint64_t consul_entry_mark(const consul_entry *entry);

/* Return true where a watch of this process vouches for the kept answer. */
bool consul_entry_is_watched(const consul_entry *entry);

/* Tell the family what this process vouches for, where it watches for the family. */
void consul_entry_vouch(const consul_entry *entry);

/* Note that no watch vouches for the entry any more. */
void consul_entry_stop_vouching(consul_entry *entry);

/* Return true where the kept snapshot answers a handshake's request of `since` or later. */
bool consul_entry_was_asked(consul_entry *entry, int64_t since);

/*
 * Begin a doubt, and return true, unless the allowance is spent. A peer with a certificate of its
 * own making can cause a doubt. So doubts get a share of the time and no more. Some are allowed at
 * once, then one a second, and fewer where the agent is slow.
 */
bool consul_entry_begin_doubt(consul_entry *entry);

/* End a doubt that took so many milliseconds. */
void consul_entry_end_doubt(consul_entry *entry, int64_t took);

/* Return the index of the last answer, or 0, and set it. */
uint64_t consul_entry_index(consul_entry *entry);
void consul_entry_set_index(consul_entry *entry, uint64_t index);

/* Return the request for an entry, which borrows from it. It insists where no snapshot is kept. */
consul_request consul_entry_request(const consul_entry *entry);

#endif
