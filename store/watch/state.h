/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of a watch and of its thread, for the files of this folder.
 *
 * A watch belongs to its store. Fields after the mark are under the lock of base/lock.h. A thread
 * is its own, but for `stop`, `ended` and the descriptors that wake it. A fork takes
 * consul_work_lock first.
 */
#ifndef CONSUL_WATCH_STATE_H
#define CONSUL_WATCH_STATE_H

#include "agent/exchange.h"
#include "base/descriptor.h"
#include "cache/ahead.h"
#include "cache/pending.h"
#include "cache/table.h"
#include "cache/watcher.h"
#include "watch/watch.h"

#include <pthread.h>
#include <sys/types.h>

#define SLOT_PAUSE_MS 1000   /* between two tries to get a slot */
#define FIRST_BACKOFF_MS 250 /* after a failure; each further pause is twice as long */
#define QUICK_MAX 2          /* quick answers without news that a query may get in turn */
#define SOCKETS_MAX 10       /* libcurl's sockets at a time */

typedef struct consul_query {
    consul_entry *entry; /* NULL for an answer that is not kept */
    consul_ahead *ahead; /* the question that it asks ahead, or NULL */
    consul_exchange exchange;
    struct consul_watch_thread *thread; /* the thread that runs the query */
    bool active;
    uint64_t index;       /* X-Consul-Index of the last answer, 0 without it */
    int64_t began;        /* the moment of its begin, in milliseconds */
    consul_deadline next; /* the earliest moment for its next begin */
    int failures, quick;  /* the numbers of failures and of quick answers in turn */
} consul_query;

enum {
    LANE_ROOTS,
    LANE_LEAF,
    LANE_INTENTIONS, /* of a busy process */
    PROBE_ROOTS,     /* a request for the roots while the agent hangs */
    PROBE_REQUEST,   /* a pending request */
    AHEAD_ROOTS,     /* questions ahead: ask_ahead.h */
    AHEAD_VERDICT,
    QUERIES
};

/* A thread and its state, which a fork waits for by consul_work_lock. */
typedef struct consul_watch_thread {
    struct consul_watch_thread *next; /* the next thread that was left behind */
    consul_watch *watch;
    pthread_t thread;
    bool ended;                    /* under the lock of base/lock.h */
    bool stop;                     /* likewise */
    bool wants_slot;               /* likewise; true where the thread is to take a slot */
    bool has_slot;                 /* likewise */
    bool lists;                    /* true where only the list of all intentions can be watched */
    consul_watcher watcher;        /* of the family, where this thread has claimed it */
    bool has_told;                 /* true where the lanes have asked since the first fork */
    bool passed_over;              /* the last word by a lock was not heeded: slot.h */
    consul_deadline intentions_at; /* the earliest moment to watch intentions */
    CURLM *multi;
    consul_query queries[QUERIES];
    consul_pending_request probe; /* the request of PROBE_REQUEST */
    consul_descriptor wake[2], slot, sockets[SOCKETS_MAX];
    bool connected[SOCKETS_MAX];   /* true for sockets connected before libcurl worked */
    consul_descriptor of_multi[2]; /* the pair of the multi handle, where it is known */
} consul_watch_thread;

struct consul_watch {
    const consul_agent *agent;
    consul_family *family; /* NULL where nothing is shared */
    consul_table *table;
    consul_load load; /* of this process, where nothing is shared */
    OSSL_LIB_CTX *libctx;
    /* Under the lock of base/lock.h: */
    consul_watch *next;
    consul_watch_thread *thread; /* NULL without a thread */
    bool closed;
    bool logged_out; /* true where the exit has ended the token of a login */
    int hangs;       /* enum consul_reason while handshakes do not wait for the agent, or 0 */
    consul_deadline hangs_until; /* without a thread, the end of the hang for this process */
    consul_pending *pending;
    consul_ahead *ahead[CONSUL_AHEAD_KINDS]; /* the last questions ahead, or NULL */
    bool asks_ahead;                         /* true where the thread stays for questions ahead */
    unsigned handshakes;                     /* the number of handshakes of this process */
    consul_deadline next_slot;               /* the earliest moment for another try to get a slot */
    consul_deadline idle_at;                 /* the moment to give the slot to others */
    int idle_after;                          /* milliseconds without a handshake until then */
    int64_t
        alone_since; /* the moment since which no sibling watches for this process, in milliseconds, or 0 */
};

#endif
