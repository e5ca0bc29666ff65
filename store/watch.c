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
 * Descriptors: a host may close all that it does not know. Ours are known by their inode, and one
 * that has become another's is not touched.
 */
#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define SLOT_PAUSE_MS 1000 /* between two tries to get a slot */
#ifndef IDLE_MS
#define IDLE_MS 60000 /* without a handshake: the slot is given to others */
#endif
#define FIRST_BACKOFF_MS 250 /* after a failure; then twice as long, and so on */
#define LONGEST_BACKOFF_MS 10000
#define PROBE_PAUSE_MS 100
#define BUSY_PER_SECOND 20 /* handshakes, for a process to be busy */
#define RESET_PAUSE_MS 500 /* of a probe whose connection is reset, like others' just then */
#define QUICK_MS 100       /* a blocking query that returns sooner, before half its time and */
#define QUICK_MAX 2        /* without news, more often than this, does not block */
#define NO_INDEX_PAUSE_MS 60000
#define SOCKETS_MAX 8 /* of libcurl's, at a time */
#define MULTI_TRIES 20

typedef struct descriptor {
    int fd; /* -1 for none */
    dev_t dev;
    ino_t ino;
} descriptor;

typedef struct query {
    consul_entry *entry; /* NULL for a probe, which keeps nothing */
    consul_exchange exchange;
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
    bool hangs, busy;
    consul_unanswered *unanswered;
    unsigned handshakes;  /* of this process */
    int64_t second_began; /* of the handshakes in this second */
    unsigned in_second;
    consul_deadline next_slot, idle_at;
};

static pthread_mutex_t stop_lock = PTHREAD_MUTEX_INITIALIZER; /* taken before the others, and */
static pthread_mutex_t work_lock = PTHREAD_MUTEX_INITIALIZER; /* this before the lock of live.c */
static consul_watch *watches;                                 /* under the lock of live.c, as are */
static runner *left_behind; /* by forks and closed descriptors: libcurl's part can not be freed */
static bool exiting;

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

/* ---- descriptors ---- */

static const descriptor no_descriptor = {.fd = -1};

static bool take_descriptor(descriptor *d, int fd)
{
    struct stat about;

    if (fd < 0 || fstat(fd, &about) != 0)
        return false;
    d->fd = fd;
    d->dev = about.st_dev;
    d->ino = about.st_ino;
    return true;
}

static bool is_ours(const descriptor *d)
{
    struct stat about;

    return d->fd >= 0 && fstat(d->fd, &about) == 0 && about.st_dev == d->dev
           && about.st_ino == d->ino;
}

static void close_ours(descriptor *d)
{
    if (is_ours(d))
        close(d->fd);
    *d = no_descriptor;
}

static bool is_anothers(const descriptor *d)
{
    return d->fd >= 0 && !is_ours(d);
}

static bool all_are_ours(const runner *r)
{
    size_t i;

    for (i = 0; i < SOCKETS_MAX; i++) {
        if (is_anothers(&r->sockets[i]))
            return false;
    }
    if (is_anothers(&r->of_multi[0]) || is_anothers(&r->of_multi[1]))
        return false;
    return is_ours(&r->wake[0]) && is_ours(&r->wake[1]);
}

static void close_all(runner *r)
{
    size_t i;

    for (i = 0; i < SOCKETS_MAX; i++)
        close_ours(&r->sockets[i]);
    for (i = 0; i < 2; i++) {
        close_ours(&r->wake[i]);
        close_ours(&r->of_multi[i]);
    }
    close_ours(&r->slot);
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    runner *r = arg;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    size_t i;

    for (i = 0; i < SOCKETS_MAX; i++) {
        if (r->sockets[i].fd < 0 && take_descriptor(&r->sockets[i], fd))
            return fd;
    }
    if (fd >= 0)
        close(fd);
    return CURL_SOCKET_BAD;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    runner *r = arg;
    size_t i;

    for (i = 0; i < SOCKETS_MAX; i++) {
        if (r->sockets[i].fd == fd)
            close_ours(&r->sockets[i]);
    }
    return 0;
}

/* With the lock held. */
static void wake(const runner *r)
{
    if (is_ours(&r->wake[1]))
        send(r->wake[1].fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- queries ---- */

static void end_query(runner *r, query *q)
{
    if (q->active)
        curl_multi_remove_handle(r->multi, q->exchange.curl);
    consul_exchange_clear(&q->exchange);
    q->active = false;
}

static void fail(query *q, int64_t least)
{
    int64_t pause = FIRST_BACKOFF_MS;
    int i;

    for (i = 0; i < q->failures && pause < LONGEST_BACKOFF_MS; i++)
        pause *= 2;
    q->failures++;
    q->index = 0;
    q->quick = 0;
    if (q->entry != NULL)
        consul_entry_doubt(q->entry);
    q->next = consul_deadline_after(consul_jitter(pause > least ? pause : least));
}

static bool is_probe_of(const runner *r, const query *q)
{
    return q == &r->queries[PROBE] || q == &r->queries[QUESTION];
}

static consul_request request_of(const runner *r, const query *q)
{
    static const consul_entry roots = {.kind = CONSUL_KIND_ROOTS};

    if (q == &r->queries[QUESTION])
        return consul_question_request(&r->question);
    return consul_entry_request(q == &r->queries[PROBE] ? &roots : q->entry);
}

static void begin_query(const consul_watch *watch, runner *r, query *q)
{
    bool is_probe = is_probe_of(r, q);
    consul_request request = request_of(r, q);
    CURL *curl;

    if (is_probe) /* one that got lost must not be waited for longer than need be */
        request.deadline = consul_deadline_after(watch->agent->settings->authorize_timeout);
    request.index = q->index;
    request.wait = q->index == 0 ? 0 : watch->agent->settings->watch_wait;
    q->began = consul_deadline_after(0);
    if (!consul_exchange_prepare(&q->exchange, watch->agent, &request, NULL)) {
        consul_exchange_clear(&q->exchange);
        fail(q, 0);
        return;
    }
    curl = q->exchange.curl;
    q->active = curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK
                && curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, r) == CURLE_OK
                && curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, close_socket) == CURLE_OK
                && curl_easy_setopt(curl, CURLOPT_CLOSESOCKETDATA, r) == CURLE_OK
                && curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, is_probe ? 1L : 0L) == CURLE_OK
                && curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, is_probe ? 1L : 0L) == CURLE_OK
                && curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK
                && curl_easy_setopt(curl, CURLOPT_PRIVATE, (char *)q) == CURLE_OK
                && curl_multi_add_handle(r->multi, curl) == CURLM_OK;
    if (!q->active) {
        consul_exchange_clear(&q->exchange);
        fail(q, 0);
    }
}

/* Keep what a watch was told, vouched for until the next query must have ended. */
static int keep(const consul_watch *watch, query *q, const consul_answer *answer, bool *is_news)
{
    const consul_settings *settings = watch->agent->settings;
    consul_deadline until =
        answer->index == 0 ? 0
                           : consul_deadline_after(settings->watch_wait + settings->watch_wait / 16
                                                   + settings->request_timeout);
    consul_entry *of_roots;
    consul_leaf *leaf, *old_leaf;
    consul_roots *roots, *old_roots;
    bool stale, ok = false;

    if (q->entry->kind == CONSUL_KIND_INTENTIONS) {
        *is_news = answer->index != q->index; /* also of what an ACL hides from us */
        consul_entry_keep_epoch(q->entry, *is_news, until);
        return 1;
    }
    if (q->entry->kind == CONSUL_KIND_ROOTS) {
        old_roots = consul_entry_roots(q->entry, CONSUL_EVER);
        roots = consul_entry_decode_roots(q->entry, answer, watch->libctx, NULL);
        ok = roots != NULL;
        *is_news = roots != old_roots;
        if (ok)
            consul_entry_keep_roots(q->entry, roots, CONSUL_WATCHED, until);
        consul_roots_unref(roots);
        consul_roots_unref(old_roots);
        return ok;
    }
    of_roots = consul_live_entry(watch->live, CONSUL_KIND_ROOTS, "", &q->entry->scope, NULL);
    roots = of_roots == NULL ? NULL : consul_entry_roots(of_roots, CONSUL_EVER);
    old_leaf = consul_entry_leaf(q->entry, CONSUL_EVER);
    leaf = consul_entry_decode_leaf(q->entry, answer, watch->libctx, NULL);
    *is_news = leaf != old_leaf;
    ok = leaf != NULL && roots != NULL
         && consul_leaf_check(leaf, roots, q->entry->service, &q->entry->scope,
                              consul_entry_chains(q->entry, leaf, roots), &stale, NULL);
    if (ok)
        consul_entry_keep_leaf(q->entry, leaf, roots, CONSUL_WATCHED, until);
    consul_leaf_unref(leaf);
    consul_leaf_unref(old_leaf);
    consul_roots_unref(roots);
    return ok;
}

/* It can not be waited for: try what can. */
static void give_up(runner *r, query *q)
{
    bool is_of_one = q->entry->kind == CONSUL_KIND_INTENTIONS && *q->entry->service != '\0';

    if (is_of_one && !r->lists) {
        r->lists = true;
        q->next = 0;
        return;
    }
    if (q->entry->kind == CONSUL_KIND_INTENTIONS) {
        consul_entry_doubt(q->entry);
        r->intentions_at = consul_deadline_after(NO_INDEX_PAUSE_MS);
        q->next = 0;
        return;
    }
    fail(q, NO_INDEX_PAUSE_MS);
}

static void finish_lane(const consul_watch *watch, runner *r, query *q, CURLcode code)
{
    int64_t wait = watch->agent->settings->watch_wait,
            quick = wait / 2 < QUICK_MS ? wait / 2 : QUICK_MS;
    consul_answer answer;
    bool is_news = false;
    int ok = consul_exchange_finish(&q->exchange, code, &answer, NULL)
             && keep(watch, q, &answer, &is_news);

    /* Also one that did not ask to wait, because the index went backwards: it may do so for ever. */
    bool is_quick = consul_deadline_after(0) - q->began < quick;

    if (is_quick && consul_exchange_was_reset(&q->exchange, code))
        consul_slot_note_crowd(); /* and yield, at the next round */
    is_quick = is_quick && ok && (!is_news || q->entry->kind == CONSUL_KIND_INTENTIONS);
    q->quick = is_quick ? q->quick + 1 : 0;
    if (ok ? answer.index == 0
           : q->entry->kind == CONSUL_KIND_INTENTIONS
                 && (answer.status == 403 || answer.status == 404)) {
        give_up(r, q);
    } else if (!ok) {
        fail(q, 0);
    } else if (q->quick > QUICK_MAX) {
        fail(q, SLOT_PAUSE_MS);
    } else {
        q->failures = 0;
        q->index = answer.index < q->index ? 0 : answer.index;
        q->next = 0;
    }
    consul_answer_free(&answer);
}

/* Any answer will do, and so will a connection refused: both come at once. */
static void finish_probe(consul_watch *watch, runner *r, query *q, CURLcode code)
{
    bool was_reset = consul_exchange_was_reset(&q->exchange, code);
    bool answers = code != CURLE_OPERATION_TIMEDOUT && !was_reset;

    consul_live_lock();
    if (answers && q == &r->queries[QUESTION])
        consul_unanswered_remove(watch->unanswered, &r->question);
    else if (answers)
        watch->hangs = false;
    consul_live_unlock();
    q->next = consul_deadline_after(consul_jitter(was_reset ? RESET_PAUSE_MS : PROBE_PAUSE_MS));
}

static void finish(consul_watch *watch, runner *r, CURL *curl, CURLcode code)
{
    query *q = NULL;

    curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&q);
    if (is_probe_of(r, q))
        finish_probe(watch, r, q, code);
    else
        finish_lane(watch, r, q, code);
    end_query(r, q);
}

static bool wants_intentions(consul_watch *watch, const runner *r)
{
    return consul_watch_is_busy(watch) && consul_deadline_after(0) >= r->intentions_at;
}

static consul_entry *intentions_to_watch(consul_watch *watch, const runner *r)
{
    consul_entry *entry = NULL;

    if (wants_intentions(watch, r))
        entry = consul_live_most_used(watch->live, CONSUL_KIND_INTENTIONS);
    if (entry == NULL || !r->lists)
        return entry;
    return consul_live_entry(watch->live, CONSUL_KIND_INTENTIONS, "", &entry->scope, NULL);
}

/* What this lane watches from now on: it changes only between two queries. */
static bool choose(consul_watch *watch, const runner *r, query *q, int lane)
{
    consul_entry *entry = lane == LANE_ROOTS ? consul_live_most_used(watch->live, CONSUL_KIND_ROOTS)
                                             : intentions_to_watch(watch, r);

    if (entry == NULL && lane == LANE_OTHER)
        entry = consul_live_most_used(watch->live, CONSUL_KIND_LEAF);
    if (entry != q->entry) {
        if (q->entry != NULL)
            consul_entry_doubt(q->entry);
        q->entry = entry;
        q->index = 0;
        q->failures = 0;
    }
    return entry != NULL;
}

static bool choose_question(const consul_watch *watch, runner *r)
{
    bool any;

    consul_live_lock();
    any = consul_unanswered_next(watch->unanswered, &r->question);
    consul_live_unlock();
    return any;
}

/* Has this query something to do? With the lock held. */
static bool is_wanted(const consul_watch *watch, const runner *r, int i)
{
    if (i == PROBE)
        return watch->hangs;
    return i == QUESTION ? consul_unanswered_any(watch->unanswered) : r->slot.fd >= 0;
}

/* Begin whatever is due. */
static void begin_due(consul_watch *watch, runner *r)
{
    int64_t now = consul_deadline_after(0);
    bool wanted;
    int i;

    for (i = 0; i < QUERIES; i++) {
        query *q = &r->queries[i];

        consul_live_lock();
        wanted = is_wanted(watch, r, i);
        consul_live_unlock();
        if (q->active || now < q->next || !wanted)
            continue;
        if (i == PROBE || (i == QUESTION ? choose_question(watch, r) : choose(watch, r, q, i)))
            begin_query(watch, r, q);
        else
            q->next = now + SLOT_PAUSE_MS;
    }
}

/* ---- the thread ---- */

static bool make_pair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0;
}

static bool holds_a_byte(int fd, unsigned long where)
{
    int count = 0;

    return ioctl(fd, where, &count) == 0 && count > 0;
}

/*
 * libcurl up to 8.9 opens a pair of sockets with a multi handle, which a program that is executed
 * would inherit, and does not tell which. They get the numbers that were free just before, unless
 * another thread was faster: then it is not in them that the byte that wakes shows, and goes.
 */
static bool know_pair(runner *r, const int fds[2])
{
    bool quiet[2], shows;
    int i;

    quiet[0] = !holds_a_byte(fds[0], FIONREAD) && !holds_a_byte(fds[1], TIOCOUTQ);
    curl_multi_wakeup(r->multi);
    shows = holds_a_byte(fds[0], FIONREAD) && holds_a_byte(fds[1], TIOCOUTQ);
    curl_multi_poll(r->multi, NULL, 0, 0, NULL);
    quiet[1] = !holds_a_byte(fds[0], FIONREAD) && !holds_a_byte(fds[1], TIOCOUTQ);
    if (!quiet[0] || !shows || !quiet[1])
        return false;
    for (i = 0; i < 2; i++) {
        if (take_descriptor(&r->of_multi[i], fds[i]))
            fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    }
    return true;
}

/* Try until the pair is known: the thread that has started this one opens a socket just now. */
static void make_multi(runner *r)
{
    bool known = false;
    int fds[2], try;

    for (try = 0; try < MULTI_TRIES && !known; try++) {
        curl_multi_cleanup(r->multi); /* first: its numbers are the next ones to be given away */
        r->multi = NULL;
        if (!make_pair(fds))
            return;
        close(fds[0]);
        close(fds[1]);
        if ((r->multi = curl_multi_init()) == NULL)
            return;
        known = know_pair(r, fds);
    }
}

/* Do others need the connections more than this process, which can ask? */
static bool yields(const runner *r)
{
    if (!is_ours(&r->slot))
        return false;
    if (consul_slot_is_asked_for(r->slot.fd))
        consul_slot_note_crowd();
    return consul_slot_is_crowd();
}

/* With the work lock held: one round of what there is to do. False when it is to end. */
static bool work(consul_watch *watch, runner *r)
{
    bool goes_on;
    CURLMsg *message;
    int running, left;

    if (!all_are_ours(r) || yields(r))
        return false;
    do {
        consul_live_lock();
        goes_on = !r->stop
                  && (watch->hangs
                      || (consul_deadline_after(0) < watch->idle_at
                          && (is_wanted(watch, r, LANE_ROOTS) || is_wanted(watch, r, QUESTION))));
        consul_live_unlock();
        if (!goes_on)
            return false;
        begin_due(watch, r);
        if (curl_multi_perform(r->multi, &running) != CURLM_OK)
            return false;
        left = 0;
        while ((message = curl_multi_info_read(r->multi, &running)) != NULL) {
            if (message->msg == CURLMSG_DONE) {
                finish(watch, r, message->easy_handle, message->data.result);
                left++;
            }
        }
    } while (left > 0); /* the next query waits for nothing */
    return true;
}

/* How long nothing is to be done, unless something comes in. */
static int pause_length(const consul_watch *watch, const runner *r)
{
    int64_t now = consul_deadline_after(0), due = now + IDLE_MS;
    int i;

    consul_live_lock();
    if (!watch->hangs && watch->idle_at < due)
        due = watch->idle_at;
    for (i = 0; i < QUERIES; i++) {
        if (!r->queries[i].active && is_wanted(watch, r, i) && r->queries[i].next < due)
            due = r->queries[i].next;
    }
    consul_live_unlock();
    return due <= now ? 0 : (int)(due - now);
}

static void wait_for_something(const consul_watch *watch, runner *r)
{
    struct curl_waitfd waking[] = {{.fd = r->wake[0].fd, .events = CURL_WAIT_POLLIN},
                                   {.fd = r->slot.fd, .events = CURL_WAIT_POLLIN}};
    char bytes[64];

    /* Not curl_multi_poll: what wakes that can not be told from a descriptor of the host's. */
    curl_multi_wait(r->multi, waking, is_ours(&r->slot) ? 2 : 1, pause_length(watch, r), NULL);
    if (is_ours(&r->wake[0])) {
        while (recv(r->wake[0].fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
            ;
    }
}

static void *run(void *arg)
{
    runner *r = arg;
    consul_watch *watch = r->watch;
    int i;

    consul_enter_request(true); /* its TLS is libcurl's, to the end */
    pthread_mutex_lock(&work_lock);
    make_multi(r);
    while (r->multi != NULL && work(watch, r)) {
        pthread_mutex_unlock(&work_lock);
        wait_for_something(watch, r);
        pthread_mutex_lock(&work_lock);
    }
    if (r->multi != NULL && all_are_ours(r)) {
        for (i = 0; i < QUERIES; i++)
            end_query(r, &r->queries[i]);
        curl_multi_cleanup(r->multi);
        r->multi = NULL;
        r->of_multi[0] = r->of_multi[1] = no_descriptor;
    }                      /* else libcurl would close what is the host's */
    OPENSSL_thread_stop(); /* takes libcrypto's locks, so not while the process forks */
    consul_live_lock();
    consul_live_doubt_all(watch->live);
    watch->hangs = false;
    consul_unanswered_forget(watch->unanswered);
    consul_question_clear(&r->question);
    close_all(r);
    r->ended = true;
    consul_live_unlock();
    pthread_mutex_unlock(&work_lock);
    return NULL;
}

static void leave_behind(runner *r)
{
    r->next = left_behind;
    left_behind = r;
}

/* With the lock held; its thread has ended. */
static void dispose(runner *r)
{
    if (r->multi != NULL)
        leave_behind(r);
    else
        OPENSSL_free(r);
}

/* With the lock held. The thread has done its last work. */
static void reap(consul_watch *watch)
{
    if (watch->runner != NULL && watch->runner->ended) {
        pthread_join(watch->runner->thread, NULL);
        dispose(watch->runner);
        watch->runner = NULL;
    }
}

static bool make_waking(runner *r)
{
    int fds[2];

    if (!make_pair(fds))
        return false;
    return take_descriptor(&r->wake[0], fds[0]) && take_descriptor(&r->wake[1], fds[1]);
}

static void install_exit_handlers(void);

/* With the lock held: start the thread, with all signals left to the host's. */
static void start(consul_watch *watch, bool with_slot)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    runner *r = OPENSSL_zalloc(sizeof(*r));
    sigset_t all, old;
    size_t i;
    int error = -1;

    if (r == NULL)
        return;
    r->wake[0] = r->wake[1] = r->slot = r->of_multi[0] = r->of_multi[1] = no_descriptor;
    for (i = 0; i < SOCKETS_MAX; i++)
        r->sockets[i] = no_descriptor;
    pthread_once(&once, install_exit_handlers);
    if ((!with_slot || take_descriptor(&r->slot, consul_slot_take(watch->agent)))
        && make_waking(r)) {
        r->watch = watch;
        watch->runner = r;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        error = pthread_create(&r->thread, NULL, run, r);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    if (error != 0) {
        watch->runner = NULL;
        close_all(r);
        OPENSSL_free(r);
    }
}

/* ---- the process ---- */

/*
 * With the stop lock held: who comes second finds no thread because there is none, and a fork finds
 * each thread at its watch.
 */
static void stop(consul_watch *watch)
{
    runner *r;
    pthread_t thread;

    consul_live_lock();
    r = watch->runner;
    if (r != NULL) {
        r->stop = true;
        thread = r->thread;
        watch->runner = NULL; /* joined here and by nobody else */
        wake(r);
    }
    consul_live_unlock();
    if (r != NULL) {
        pthread_join(thread, NULL);
        consul_live_lock();
        dispose(r);
        consul_live_unlock();
    }
}

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
            stop(watch);
    } while (watch != NULL);
    pthread_mutex_unlock(&stop_lock);
}

static int forks_cancel_state; /* under the locks */

static void before_fork(void)
{
    int state = forbid_cancel();

    pthread_mutex_lock(&stop_lock);
    pthread_mutex_lock(&work_lock);
    consul_live_lock();
    forks_cancel_state = state;
}

static void after_fork_in_parent(void)
{
    int state = forks_cancel_state;

    consul_live_unlock();
    pthread_mutex_unlock(&work_lock);
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
        watch->hangs = false;
        consul_unanswered_forget(watch->unanswered);
        watch->handshakes = 0;
        watch->in_second = 0;
        watch->busy = false;
        watch->next_slot = 0;
        watch->runner = NULL;
        if (r == NULL)
            continue;
        close_all(r);
        leave_behind(r);
    }
    after_fork_in_parent();
}

/* Also for processes that never watch: handshakes and loaders take the lock, too. */
static void keep_locks_sane_over_fork(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* The thread uses libcrypto, which up to OpenSSL 3 cleans up at exit. */
static void install_exit_handlers(void)
{
    atexit(stop_all);
#if OPENSSL_VERSION_MAJOR < 4
    OPENSSL_atexit(stop_all);
#endif
}

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
    stop(watch);
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
        watch->busy = watch->in_second >= BUSY_PER_SECOND && passed < 2000;
        watch->second_began = now;
        watch->in_second = 0;
    }
    watch->in_second++;
}

bool consul_watch_is_busy(consul_watch *watch)
{
    bool busy;

    consul_live_lock();
    busy = watch->busy;
    consul_live_unlock();
    return busy;
}

void consul_watch_expect(consul_watch *watch)
{
    int64_t now = consul_deadline_after(0);
    int state = forbid_cancel();

    consul_live_lock();
    reap(watch);
    watch->handshakes++;
    count_in_second(watch, now);
    watch->idle_at = now + IDLE_MS;
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
    reason =
        watch->hangs ? CONSUL_R_AGENT_TIMEOUT : consul_unanswered_find(watch->unanswered, request);
    consul_live_unlock();
    return reason;
}

void consul_watch_note_failure(consul_watch *watch, const consul_request *request,
                               const consul_answer *answer, const consul_error *err)
{
    int state;

    if (err->reason != CONSUL_R_AGENT_TIMEOUT && !answer->was_reset)
        return;
    /* What was left only the rest of a handshake's time says nothing about the agent. */
    if (request->deadline - answer->began < watch->agent->settings->authorize_timeout / 2)
        return;
    state = forbid_cancel();
    consul_live_lock();
    reap(watch);
    /* Not where a program loads URIs, and will perhaps fork. */
    if (watch->handshakes > 0 && !watch->closed && !exiting) {
        watch->hangs |= !answer->was_reset; /* others may have better luck */
        consul_unanswered_add(watch->unanswered, request, err->reason);
        if (watch->runner == NULL)
            start(watch, false);
        else
            wake(watch->runner);
        if (watch->runner == NULL) { /* nobody would find out when it does no longer */
            watch->hangs = false;
            consul_unanswered_forget(watch->unanswered);
        }
    }
    consul_live_unlock();
    allow_cancel(state);
}
