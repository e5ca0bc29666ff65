/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/process.h"

#include "agent/login.h"
#include "base/bare_fork.h"
#include "base/cancel.h"
#include "base/lock.h"
#include "cache/single_flight.h"
#include "watch/descriptors.h"
#include "watch/thread.h"

#include <stdlib.h>

#include <openssl/crypto.h>

pthread_mutex_t consul_stop_lock = PTHREAD_MUTEX_INITIALIZER;
static consul_watch *watches; /* under the lock of base/lock.h */
static bool exiting;          /* likewise */

/*
 * End the token of a login, where no other process can be using it. A process that has forked cannot know that, and
 * neither can its child. The parent of a daemon ends first, for example. The lock consul_stop_lock is held.
 */
static void log_out(const consul_watch *watch)
{
    if (!consul_family_has_forked())
        consul_agent_log_out(watch->agent);
}

/* Return a watch whose token ends with the process, each one once. A watch that is closing does that by itself. */
static consul_watch *next_to_log_out(void)
{
    consul_watch *watch;

    consul_lock();
    watch = watches;
    while (watch != NULL && (watch->closed || watch->logged_out))
        watch = watch->next;
    if (watch != NULL)
        watch->logged_out = true;
    consul_unlock();
    return watch;
}

static void stop_all(void)
{
    consul_watch *watch;

    consul_process_look();
    pthread_mutex_lock(&consul_stop_lock);
    do {
        consul_lock();
        exiting = true;
        watch = watches;
        while (watch != NULL && watch->thread == NULL)
            watch = watch->next;
        consul_unlock();
        if (watch != NULL)
            consul_thread_stop(watch);
    } while (watch != NULL);
    while ((watch = next_to_log_out()) != NULL)
        log_out(watch);
    pthread_mutex_unlock(&consul_stop_lock);
}

static int forks_cancel_state; /* under all three locks */

static void before_fork(void)
{
    int state = consul_forbid_cancel();

    pthread_mutex_lock(&consul_stop_lock);
    pthread_mutex_lock(&consul_work_lock);
    consul_lock();
    consul_family_note_fork();
    forks_cancel_state = state;
}

/* Have each watch tell the family what it knows. */
static void wake_all(void)
{
    const consul_watch *watch;

    for (watch = watches; watch != NULL; watch = watch->next) {
        if (watch->thread != NULL && !watch->thread->has_told)
            consul_thread_wake(watch->thread);
    }
}

static void after_fork_in_parent(void)
{
    int state = forks_cancel_state;

    wake_all();
    consul_unlock();
    pthread_mutex_unlock(&consul_work_lock);
    pthread_mutex_unlock(&consul_stop_lock);
    consul_allow_cancel(state);
}

/* Leave the watches of the parent behind. The lock is held. */
static void leave_parent(void)
{
    consul_watch *watch;

    consul_single_flight_forget();
    for (watch = watches; watch != NULL; watch = watch->next) {
        consul_watch_thread *r = watch->thread;

        consul_table_stop_vouching(watch->table);
        watch->hangs = 0;
        consul_pending_forget(watch->pending);
        consul_ahead_forget_all(watch->ahead);
        watch->asks_ahead = false;
        watch->handshakes = 0;
        watch->load = (consul_load){0};
        watch->alone_since = 0;
        consul_family_forget_claim(watch->family);
        watch->next_slot = 0;
        watch->thread = NULL;
        if (r == NULL)
            continue;
        consul_descriptors_close(r);
        consul_thread_leave_behind(r);
    }
}

static void after_fork_in_child(void)
{
    leave_parent();
    consul_bare_fork_settle();
    after_fork_in_parent();
}

/* Make the locks anew, too. A thread of the parent may have had any of them. */
void consul_process_look(void)
{
    int state;

    if (!consul_bare_fork_begins())
        return;
    state = consul_forbid_cancel();
    pthread_mutex_init(&consul_stop_lock, NULL);
    pthread_mutex_init(&consul_work_lock, NULL);
    consul_lock_renew();
    consul_lock();
    consul_family_note_fork();
    leave_parent();
    consul_unlock();
    consul_bare_fork_settle();
    consul_allow_cancel(state);
}

/* Keep the locks whole over a fork. A process without a watch uses the lock of base/lock.h, too. */
static void keep_locks_sane_over_fork(void)
{
    consul_bare_fork_expect();
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/*
 * End all threads and logins at exit, before libcrypto is gone. OpenSSL 3 cleans up in its own exit handlers.
 */
static void install_exit_handlers(void)
{
    atexit(stop_all);
#if OPENSSL_VERSION_MAJOR < 4
    OPENSSL_atexit(stop_all);
#endif
}

static pthread_once_t exit_handlers = PTHREAD_ONCE_INIT;

void consul_process_start(consul_watch *watch, bool with_slot)
{
    if (watch->closed || exiting)
        return;
    pthread_once(&exit_handlers, install_exit_handlers);
    consul_thread_start(watch, with_slot);
}

void consul_process_stop(consul_watch *watch)
{
    int state = consul_forbid_cancel();

    consul_process_look();
    pthread_mutex_lock(&consul_stop_lock);
    consul_thread_stop(watch);
    log_out(watch);
    pthread_mutex_unlock(&consul_stop_lock);
    consul_allow_cancel(state);
}

void consul_process_add(consul_watch *watch)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, keep_locks_sane_over_fork);
    if (watch->agent->login != NULL)
        pthread_once(&exit_handlers, install_exit_handlers);
    consul_lock();
    watch->next = watches;
    watches = watch;
    consul_unlock();
}

/*
 * Take a closed watch off the list. It has no thread, and has ended its token by itself. So stop_all does not use it:
 * consul_process_stop has waited for stop_all since the watch was closed.
 */
void consul_process_remove(consul_watch *watch)
{
    consul_watch **link;

    consul_lock();
    for (link = &watches; *link != NULL && *link != watch; link = &(*link)->next)
        ;
    if (*link != NULL)
        *link = watch->next;
    consul_unlock();
}
