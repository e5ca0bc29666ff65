/*
 * The thread that keeps entries fresh, by blocking queries on libcurl's multi interface
 * (https://developer.hashicorp.com/consul/api-docs/features/blocking).
 *
 * What is fresh is used without asking; what is not is asked for by the handshake that needs it. So
 * the thread is never needed for a right answer, and everything here gives up as soon as in doubt.
 *
 * An agent takes 200 connections from a host (limits.http_max_conns_per_client), and resets all
 * beyond, also those of authorize requests. A process holds two at most: one waits for the roots, and
 * the other for the leaf that is used most, or, in a busy process that has clients, for the intentions
 * of the service that most have come to: it would ask about these at each handshake, and about its
 * leaf some times a second. On one host a few processes at a time do, those that got a
 * slot (slot.c) first. The others ask; and where the connections run out, watches are given up
 * before a question goes without an answer.
 *
 * What the agent has left without an answer is asked by this thread until it is answered, on further
 * connections, and by nobody else.
 *
 * Fork: the thread works under a lock for which a fork waits, so that no lock of libcrypto's or
 * libcurl's is held by it then. The child closes the descriptors and lets go of the rest.
 */
#include "watch.h"

#include <stdlib.h>

#include <openssl/crypto.h>

#define IDLE_MS 60000      /* without a handshake: the slot is given to others */
#define BUSY_PER_SECOND 20 /* peers of the mesh, for a process to be busy, */
#define BUSY_FOR_MS 2000   /* from the beginning of that second on */

static pthread_mutex_t stop_lock = PTHREAD_MUTEX_INITIALIZER; /* taken before the other locks */
static consul_watch *watches;                                 /* under the lock of live.c */
static bool exiting;                                          /* too */

/*
 * The locks are the host's threads', too, which it may cancel: not while they hold one. What this
 * returns is for allow_cancel.
 */
static int forbid_cancel(void)
{
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return state;
}

static void allow_cancel(int state)
{
    pthread_setcancelstate(state, NULL);
}

/* ---- the process ---- */

static void stop_all(void)
{
    consul_watch *watch;

    pthread_mutex_lock(&stop_lock);
    do {
        consul_live_lock();
        exiting = true;
        watch = watches;
        while (watch != NULL && watch->runner == NULL)
            watch = watch->next;
        consul_live_unlock();
        if (watch != NULL)
            consul_runner_stop(watch);
    } while (watch != NULL);
    pthread_mutex_unlock(&stop_lock);
}

static int forks_cancel_state; /* under the locks */

static void before_fork(void)
{
    int state = forbid_cancel();

    pthread_mutex_lock(&stop_lock);
    pthread_mutex_lock(&consul_work_lock);
    consul_live_lock();
    forks_cancel_state = state;
}

static void after_fork_in_parent(void)
{
    int state = forks_cancel_state;

    consul_live_unlock();
    pthread_mutex_unlock(&consul_work_lock);
    pthread_mutex_unlock(&stop_lock);
    allow_cancel(state);
}

static void after_fork_in_child(void)
{
    consul_watch *watch;

    consul_coalesce_forget();
    for (watch = watches; watch != NULL; watch = watch->next) {
        runner *r = watch->runner;

        consul_live_doubt_all(watch->live);
        watch->hangs = 0;
        consul_unanswered_forget(watch->unanswered);
        watch->handshakes = 0;
        watch->in_second = 0;
        watch->busy = false;
        watch->next_slot = 0;
        watch->runner = NULL;
        if (r == NULL)
            continue;
        consul_descriptors_close(r);
        consul_runner_leave_behind(r);
    }
    after_fork_in_parent();
}

/* Also for processes that never watch: handshakes and loaders take the lock, too. */
static void keep_locks_sane_over_fork(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* A thread uses libcrypto, which up to OpenSSL 3 cleans up at exit. */
static void install_exit_handlers(void)
{
    atexit(stop_all);
#if OPENSSL_VERSION_MAJOR < 4
    OPENSSL_atexit(stop_all);
#endif
}

/* With the lock held. */
static void start(consul_watch *watch, bool with_slot)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, install_exit_handlers);
    consul_runner_start(watch, with_slot);
}

/* ---- watches ---- */

consul_watch *consul_watch_new(const consul_agent *agent, consul_live *live, OSSL_LIB_CTX *libctx,
                               consul_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    consul_watch *watch = OPENSSL_zalloc(sizeof(*watch));

    if (watch == NULL || (watch->unanswered = consul_unanswered_new(err)) == NULL) {
        OPENSSL_free(watch);
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the store");
        return NULL;
    }
    pthread_once(&once, keep_locks_sane_over_fork);
    watch->agent = agent;
    watch->live = live;
    watch->libctx = libctx;
    watch->idle_after = IDLE_MS;
    consul_live_lock();
    watch->next = watches;
    watches = watch;
    consul_live_unlock();
    return watch;
}

void consul_watch_close(consul_watch *watch)
{
    int state = forbid_cancel();

    consul_live_lock();
    watch->closed = true;
    consul_live_unlock();
    pthread_mutex_lock(&stop_lock);
    consul_runner_stop(watch);
    pthread_mutex_unlock(&stop_lock);
    allow_cancel(state);
}

void consul_watch_free(consul_watch *watch)
{
    consul_watch **link;

    if (watch == NULL)
        return;
    consul_watch_close(watch);
    pthread_mutex_lock(&stop_lock); /* an exit may be looking at it */
    consul_live_lock();
    for (link = &watches; *link != NULL && *link != watch; link = &(*link)->next)
        ;
    if (*link == watch)
        *link = watch->next;
    consul_live_unlock();
    pthread_mutex_unlock(&stop_lock);
    consul_unanswered_free(watch->unanswered);
    OPENSSL_free(watch);
}

/* With the lock held. */
static void count_in_second(consul_watch *watch, int64_t now)
{
    int64_t passed = now - watch->second_began;

    if (passed >= 1000) {
        watch->busy = watch->in_second >= BUSY_PER_SECOND && passed < BUSY_FOR_MS;
        watch->second_began = now;
        watch->in_second = 0;
    }
    watch->in_second++;
}

void consul_watch_note_peer(consul_watch *watch)
{
    int64_t now = consul_deadline_after(0);

    consul_live_lock();
    count_in_second(watch, now);
    consul_live_unlock();
}

bool consul_watch_is_busy(consul_watch *watch)
{
    int64_t now = consul_deadline_after(0);
    bool busy;

    consul_live_lock();
    busy = watch->busy && now - watch->second_began < BUSY_FOR_MS;
    consul_live_unlock();
    return busy;
}

void consul_watch_expect(consul_watch *watch)
{
    int64_t now = consul_deadline_after(0);
    int state = forbid_cancel();

    consul_live_lock();
    consul_runner_reap(watch);
    watch->handshakes++;
    watch->idle_at = now + watch->idle_after;
    if (watch->handshakes > 1 && watch->runner == NULL && !watch->closed && !exiting
        && now >= watch->next_slot && !consul_slot_is_crowd()) {
        watch->next_slot = now + consul_jitter(SLOT_PAUSE_MS);
        start(watch, true);
    }
    consul_live_unlock();
    allow_cancel(state);
}

int consul_watch_agent_hangs(consul_watch *watch, const consul_request *request)
{
    int reason;

    consul_live_lock();
    reason = watch->hangs != 0 ? watch->hangs : consul_unanswered_find(watch->unanswered, request);
    consul_live_unlock();
    return reason;
}

void consul_watch_note_failure(consul_watch *watch, const consul_request *request,
                               const consul_answer *answer, const consul_error *err)
{
    bool is_too_much = answer->crowded_out || answer->limited;
    bool is_hang = answer->lost && err->reason == CONSUL_R_AGENT_TIMEOUT;
    int state;

    if (!is_hang && !is_too_much)
        return;
    /* What was left only the rest of a handshake's time says nothing about the agent. */
    if (request->deadline - answer->began < watch->agent->settings->authorize_timeout / 2)
        return;
    state = forbid_cancel();
    consul_live_lock();
    consul_runner_reap(watch);
    /* Not where a program loads URIs, and will perhaps fork. */
    if (watch->handshakes > 0 && !watch->closed && !exiting) {
        if (is_hang) /* where there are too many, others may have better luck */
            watch->hangs = CONSUL_R_AGENT_TIMEOUT;
        consul_unanswered_add(watch->unanswered, request, err->reason);
        if (watch->runner == NULL)
            start(watch, false);
        else
            consul_runner_wake(watch->runner);
        if (watch->runner == NULL) { /* nobody would find out when it does no longer */
            watch->hangs = 0;
            consul_unanswered_forget(watch->unanswered);
        }
    }
    consul_live_unlock();
    allow_cancel(state);
}
