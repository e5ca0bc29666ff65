/* The fields of a watch and of its thread: for the files of this folder. */
#ifndef CONSUL_WATCH_STATE_H
#define CONSUL_WATCH_STATE_H

#include "agent/exchange.h"
#include "base/descriptor.h"
#include "cache/pending.h"
#include "cache/table.h"
#include "watch/watch.h"

#include <pthread.h>
#include <sys/types.h>

#define SLOT_PAUSE_MS 1000   /* between two tries to get a slot */
#define FIRST_BACKOFF_MS 250 /* after a failure; then twice as long, and so on */
#define QUICK_MAX 2   /* a query that is too quick without news, more often, waits for none */
#define SOCKETS_MAX 8 /* of libcurl's, at a time */

typedef struct consul_query {
    consul_entry *entry; /* NULL for a probe, which keeps nothing */
    consul_exchange exchange;
    struct consul_watch_thread *thread; /* whose it is, while it runs */
    bool active;
    uint64_t index;
    int64_t began;
    consul_deadline next; /* when it may begin */
    int failures, quick;
} consul_query;

enum {
    LANE_ROOTS,
    LANE_OTHER,    /* a leaf, or intentions */
    PROBE_ROOTS,   /* asks for the roots while the agent answers nothing */
    PROBE_REQUEST, /* asks for what it has not answered */
    QUERIES
};

/* What the thread works on: its own, but for a fork, which waits for the work lock. */
typedef struct consul_watch_thread {
    struct consul_watch_thread *next; /* of those left behind */
    consul_watch *watch;
    pthread_t thread;
    bool ended;
    bool stop;                     /* under the lock of base/lock.h, as `ended` */
    bool lists;                    /* intentions can be waited for only by the list of all */
    consul_deadline intentions_at; /* before, they can not be watched at all */
    CURLM *multi;
    consul_query queries[QUERIES];
    consul_pending_request probe; /* of that probe */
    consul_descriptor wake[2], slot, sockets[SOCKETS_MAX];
    bool connected[SOCKETS_MAX];   /* of these, when libcurl began to work */
    consul_descriptor of_multi[2]; /* sockets that libcurl keeps for itself, if they are known */
} consul_watch_thread;

struct consul_watch {
    const consul_agent *agent;
    consul_table *table;
    OSSL_LIB_CTX *libctx;
    /* Under the lock of base/lock.h: */
    consul_watch *next;
    consul_watch_thread *thread; /* NULL while there is no thread */
    bool closed;
    int hangs; /* why nobody waits for the agent, enum consul_reason; or 0 */
    bool busy;
    consul_pending *pending;
    unsigned handshakes;  /* of this process */
    int64_t second_began; /* of the peers in this second */
    unsigned in_second;
    consul_deadline next_slot, idle_at;
    int idle_after; /* ms without a handshake: the slot is given to others */
};

#endif
