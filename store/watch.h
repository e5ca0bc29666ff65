/* What the files watch*.c share: the watch of a store, and its thread. */
#ifndef CONSUL_WATCH_H
#define CONSUL_WATCH_H

#include "exchange.h"

#include <pthread.h>
#include <sys/types.h>

#define SLOT_PAUSE_MS 1000   /* between two tries to get a slot */
#define FIRST_BACKOFF_MS 250 /* after a failure; then twice as long, and so on */
#define QUICK_MAX 2   /* a query that is too quick without news, more often, waits for none */
#define SOCKETS_MAX 8 /* of libcurl's, at a time */

/* One that is ours: a host may close it, and give its number to something of its own. */
typedef struct descriptor {
    int fd; /* -1 for none */
    dev_t dev;
    ino_t ino;
    bool connected; /* of a socket, when libcurl began to work */
} descriptor;

typedef struct query {
    consul_entry *entry; /* NULL for a probe, which keeps nothing */
    consul_exchange exchange;
    struct runner *runner; /* whose it is, while it runs */
    bool active;
    uint64_t index;
    int64_t began;
    consul_deadline next; /* when it may begin */
    int failures, quick;
} query;

enum {
    LANE_ROOTS,
    LANE_OTHER, /* a leaf, or intentions */
    PROBE,      /* asks for the roots while the agent answers nothing */
    QUESTION,   /* asks for what it has not answered */
    QUERIES
};

/* What the thread works on: its own, but for a fork, which waits for the work lock. */
typedef struct runner {
    struct runner *next; /* of those left behind */
    consul_watch *watch;
    pthread_t thread;
    bool ended;
    bool stop;                     /* under the lock of live.c, as `ended` */
    bool lists;                    /* intentions can be waited for only by the list of all */
    consul_deadline intentions_at; /* before, they can not be watched at all */
    CURLM *multi;
    query queries[QUERIES];
    consul_question question; /* of that probe */
    descriptor wake[2], slot, sockets[SOCKETS_MAX];
    descriptor of_multi[2]; /* sockets that libcurl keeps for itself, if they are known */
} runner;

struct consul_watch {
    const consul_agent *agent;
    consul_live *live;
    OSSL_LIB_CTX *libctx;
    /* Under the lock of live.c: */
    consul_watch *next;
    runner *runner; /* NULL while there is no thread */
    bool closed;
    int hangs; /* why nobody waits for the agent, enum consul_reason; or 0 */
    bool busy;
    consul_unanswered *unanswered;
    unsigned handshakes;  /* of this process */
    int64_t second_began; /* of the peers in this second */
    unsigned in_second;
    consul_deadline next_slot, idle_at;
    int idle_after; /* ms without a handshake: the slot is given to others */
};

/* ---- watch_thread.c ---- */

/*
 * Held while the thread works, but not while it waits; taken before the lock of live.c. A fork holds
 * it, so that no lock of libcrypto's or libcurl's is held by the thread then.
 */
extern pthread_mutex_t consul_work_lock;

/* With the lock of live.c held: start the thread, with or without a slot, if that can be. */
void consul_runner_start(consul_watch *watch, bool with_slot);
void consul_runner_wake(const runner *r);

/* With the lock held: join a thread that has done its last work. */
void consul_runner_reap(consul_watch *watch);

/*
 * End the thread and join it. Without the lock, by one caller at a time: who comes second finds no
 * thread because there is none.
 */
void consul_runner_stop(consul_watch *watch);

/* With the lock held: forget it, as its libcurl handles can not be freed any more. */
void consul_runner_leave_behind(runner *r);

/* ---- watch_queries.c: by the thread ---- */

/* Has this query something to do? With the lock of live.c held. */
bool consul_query_is_wanted(const consul_watch *watch, const runner *r, int i);

void consul_queries_begin(consul_watch *watch, runner *r); /* whatever is due */
void consul_queries_finish(consul_watch *watch, runner *r, CURL *curl, CURLcode code);
void consul_query_end(runner *r, query *q);

/* ---- watch_descriptors.c ---- */

extern const descriptor consul_no_descriptor;

bool consul_descriptor_take(descriptor *d, int fd); /* false for one that is none */
bool consul_descriptor_is_ours(const descriptor *d);

void consul_descriptors_init(runner *r);
bool consul_descriptors_make_waking(runner *r);
void consul_descriptors_make_multi(runner *r); /* NULL stays NULL where it fails */
bool consul_descriptors_are_ours(runner *r);
void consul_descriptors_close(runner *r); /* those that are ours */

/*
 * libcurl has worked, on descriptors that were all ours before. It closes some sockets by itself that
 * have not been connected, without a word: these are forgotten. A connected one that is gone was
 * closed by the host, which is found out the next time.
 */
void consul_descriptors_forget_closed(runner *r);

/* For CURLOPT_OPENSOCKETFUNCTION and CURLOPT_CLOSESOCKETFUNCTION, with the runner. */
curl_socket_t consul_descriptors_open_socket(void *arg, curlsocktype purpose,
                                             struct curl_sockaddr *address);
int consul_descriptors_close_socket(void *arg, curl_socket_t fd);

#endif
