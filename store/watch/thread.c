/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/thread.h"

#include "agent/cleansing.h"
#include "agent/outcome.h"
#include "agent/slot.h"
#include "base/event.h"
#include "base/lock.h"
#include "watch/descriptors.h"
#include "watch/queries.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/crypto.h>

#define LOCK_LOOK_MS 100 /* between two looks for a word by a lock, less than all tries take */

pthread_mutex_t consul_work_lock = PTHREAD_MUTEX_INITIALIZER;

/* Threads that forks and closed descriptors have left behind, under the lock of base/lock.h. */
static consul_watch_thread *left_behind;

void consul_thread_wake(const consul_watch_thread *r)
{
    if (consul_descriptor_is_ours(&r->wake[1]))
        send(r->wake[1].fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Return true where other processes need the connections more than this one, which can ask. */
static bool yields(consul_watch_thread *r)
{
    if (!consul_descriptor_is_ours(&r->slot))
        return false;
    if (consul_slot_is_asked_for(r->slot.fd)
        || consul_slot_is_asked_by_lock(r->watch->agent, &r->passed_over))
        consul_slot_note_crowd();
    return consul_slot_is_crowd();
}

/* Return the moment to end without a handshake: of any process, for the watcher of a family. The lock is held. */
static int64_t idle_moment(const consul_watch *watch, const consul_watch_thread *r)
{
    int64_t of_family =
        r->watcher.word == NULL ? 0 : consul_family_used(watch->family) + watch->idle_after;

    return of_family > watch->idle_at ? of_family : watch->idle_at;
}

/* Take a slot, where a handshake has asked for that since the last round. */
static void take_slot(consul_watch_thread *r)
{
    bool takes;

    consul_lock();
    takes = r->wants_slot && !r->has_slot;
    r->wants_slot = false;
    consul_unlock();
    if (!takes || !consul_descriptor_take(&r->slot, consul_slot_take(r->watch->agent)))
        return;
    consul_lock();
    r->has_slot = true;
    consul_unlock();
}

/* Do one round of work, with consul_work_lock held. Return false where the thread is to end. */
static bool work(consul_watch *watch, consul_watch_thread *r)
{
    bool goes_on;
    CURLMsg *message;
    CURLMcode code;
    int running, left;

    if (yields(r)) {
        consul_event_tell(&(consul_event){.kind = CONSUL_EVENT_SLOT_GIVEN_UP});
        return false;
    }
    take_slot(r);
    consul_family_look(watch->family);
    if (r->slot.fd >= 0 && r->watcher.word == NULL)
        consul_family_watch(watch->family, &r->watcher);
    if (!r->has_told && consul_family_has_forked() && consul_descriptors_are_ours(r)) {
        r->has_told = true;
        consul_queries_ask_anew(r);
    }
    do {
        if (!consul_descriptors_are_ours(r))
            return false;
        consul_lock();
        goes_on = !r->stop
                  && (watch->hangs != 0
                      || (consul_now_ms() < idle_moment(watch, r)
                          && (watch->asks_ahead || consul_query_is_wanted(watch, r, LANE_ROOTS)
                              || consul_query_is_wanted(watch, r, PROBE_REQUEST))));
        consul_unlock();
        if (!goes_on)
            return false;
        consul_queries_begin(watch, r);
        code = curl_multi_perform(r->multi, &running);
        consul_descriptors_forget_closed(r);
        if (code != CURLM_OK)
            return false;
        left = 0;
        while ((message = curl_multi_info_read(r->multi, &running)) != NULL) {
            if (message->msg == CURLMSG_DONE) {
                consul_queries_finish(watch, r, message->easy_handle, message->data.result);
                left++;
            }
        }
        if (left > 0) /* a fork leaves the error queue of this thread behind */
            OPENSSL_thread_stop();
    } while (left > 0); /* the next query waits for nothing */
    return true;
}

/* Return the milliseconds to wait for an event until the next work is due. */
static int pause_length(const consul_watch *watch, const consul_watch_thread *r)
{
    int64_t now = consul_now_ms(), due = now + watch->idle_after;
    int i;

    consul_lock();
    if (watch->hangs == 0 && idle_moment(watch, r) < due)
        due = idle_moment(watch, r);
    for (i = 0; i < QUERIES; i++) {
        if (!r->queries[i].active && consul_query_is_wanted(watch, r, i)
            && r->queries[i].next < due)
            due = r->queries[i].next;
    }
    consul_unlock();
    for (i = 0; i < QUERIES; i++) {
        if (r->queries[i].active && due > now)
            due = now + consul_exchange_patience(&r->queries[i].exchange, (int)(due - now));
    }
    if (r->slot.fd >= 0 && watch->agent->address.socket_path != NULL && due > now + LOCK_LOOK_MS)
        due = now + LOCK_LOOK_MS;
    return due <= now ? 0 : (int)(due - now);
}

static void wait_for_something(const consul_watch *watch, consul_watch_thread *r)
{
    struct curl_waitfd waking[] = {{.fd = r->wake[0].fd, .events = CURL_WAIT_POLLIN},
                                   {.fd = r->slot.fd, .events = CURL_WAIT_POLLIN}};
    char bytes[64];

    /* curl_multi_poll would wait for its own pair, which the host may have replaced. */
    curl_multi_wait(r->multi, waking, consul_descriptor_is_ours(&r->slot) ? 2 : 1,
                    pause_length(watch, r), NULL);
    if (consul_descriptor_is_ours(&r->wake[0])) {
        while (recv(r->wake[0].fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
            ;
    }
}

/* Tell that no lane has an answer. */
static void tell_lanes_end(void)
{
    int lane;

    for (lane = LANE_ROOTS; lane <= LANE_INTENTIONS; lane++)
        consul_event_tell(&(consul_event){.kind = CONSUL_EVENT_LANE, .count = lane});
}

static void *run(void *arg)
{
    consul_watch_thread *r = arg;
    consul_watch *watch = r->watch;
    int i;

    consul_enter_request(true); /* its TLS is libcurl's, to the end */
    r->watcher.word = NULL;
    pthread_mutex_lock(&consul_work_lock);
    consul_descriptors_make_multi(r);
    while (r->multi != NULL && work(watch, r)) {
        consul_cleanse_traces();
        pthread_mutex_unlock(&consul_work_lock);
        wait_for_something(watch, r);
        pthread_mutex_lock(&consul_work_lock);
    }
    if (r->multi != NULL && consul_descriptors_are_ours(r)) {
        for (i = 0; i < QUERIES; i++)
            consul_query_end(r, &r->queries[i]);
        curl_multi_cleanup(r->multi);
        r->multi = NULL;
        r->of_multi[0] = r->of_multi[1] = consul_no_descriptor;
    } /* else libcurl would close descriptors of the host's */
    tell_lanes_end();
    consul_cleanse_traces();
    OPENSSL_thread_stop(); /* under consul_work_lock, as it takes locks of libcrypto */
    consul_lock();
    consul_family_leave(watch->family, &r->watcher);
    consul_table_stop_vouching(watch->table);
    watch->hangs = 0;
    consul_pending_forget(watch->pending);
    consul_pending_request_clear(&r->probe);
    consul_ahead_end_all(watch->ahead);
    consul_descriptors_close(r);
    r->ended = true;
    consul_unlock();
    pthread_mutex_unlock(&consul_work_lock);
    return NULL;
}

void consul_thread_leave_behind(consul_watch_thread *r)
{
    r->next = left_behind;
    left_behind = r;
}

/* Free the state of a thread that has ended, or leave it behind. The lock is held. */
static void dispose(consul_watch_thread *r)
{
    if (r->multi != NULL)
        consul_thread_leave_behind(r);
    else
        OPENSSL_free(r);
}

void consul_thread_reap(consul_watch *watch)
{
    if (watch->thread != NULL && watch->thread->ended) {
        pthread_join(watch->thread->thread, NULL);
        dispose(watch->thread);
        watch->thread = NULL;
    }
}

/* Start the thread with all signals blocked, as they are the host's. */
void consul_thread_start(consul_watch *watch, bool with_slot)
{
    consul_watch_thread *r = OPENSSL_zalloc(sizeof(*r));
    sigset_t all, old;
    int error = -1;

    if (r == NULL)
        return;
    consul_descriptors_init(r);
    if ((!with_slot || consul_descriptor_take(&r->slot, consul_slot_take(watch->agent)))
        && consul_descriptors_make_waking(r)) {
        r->watch = watch;
        r->has_slot = with_slot;
        watch->thread = r;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        error = pthread_create(&r->thread, NULL, run, r);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    if (error != 0) {
        watch->thread = NULL;
        consul_descriptors_close(r);
        OPENSSL_free(r);
    }
}

void consul_thread_stop(consul_watch *watch)
{
    consul_watch_thread *r;
    pthread_t thread;

    consul_lock();
    r = watch->thread;
    if (r != NULL) {
        r->stop = true;
        thread = r->thread;
        watch->thread = NULL; /* no other caller joins it then */
        consul_thread_wake(r);
    }
    consul_unlock();
    if (r != NULL) {
        pthread_join(thread, NULL);
        consul_lock();
        dispose(r);
        consul_unlock();
    }
}
