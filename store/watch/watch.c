/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/watch.h"

#include "agent/slot.h"
#include "base/cancel.h"
#include "base/event.h"
#include "base/lock.h"
#include "watch/process.h"
#include "watch/state.h"
#include "watch/thread.h"

#include <openssl/crypto.h>

#define IDLE_MS 60000 /* without a handshake until the slot is given to others */
#define ALONE_MS 1000 /* without a sibling's watch until a process watches by itself */
#define HANG_MS 3000  /* a hang without a thread; one handshake waits for the agent then */

consul_watch *consul_watch_new(const consul_agent *agent, consul_family *family,
                               consul_table *table, OSSL_LIB_CTX *libctx, consul_error *err)
{
    consul_watch *watch = OPENSSL_zalloc(sizeof(*watch));

    if (watch == NULL || (watch->pending = consul_pending_new(err)) == NULL) {
        OPENSSL_free(watch);
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the store");
        return NULL;
    }
    watch->agent = agent;
    watch->family = family;
    watch->table = table;
    watch->libctx = libctx;
    watch->idle_after = IDLE_MS;
    consul_process_add(watch);
    return watch;
}

void consul_watch_close(consul_watch *watch)
{
    int state = consul_forbid_cancel();

    consul_lock();
    watch->closed = true;
    consul_unlock();
    consul_allow_cancel(state);
    consul_process_stop(watch);
}

void consul_watch_free(consul_watch *watch)
{
    if (watch == NULL)
        return;
    consul_watch_close(watch);
    consul_process_remove(watch);
    consul_lock();
    consul_ahead_end_all(watch->ahead);
    consul_unlock();
    consul_pending_free(watch->pending);
    OPENSSL_free(watch);
}

/* Return true where a sibling watches what this process uses. A sibling that changes its lane gets a second to do so. */
static bool has_watcher(consul_watch *watch, int64_t now)
{
    if (!consul_family_is_watched(watch->family))
        return false;
    if (consul_table_is_served(watch->table)) {
        watch->alone_since = 0;
        return true;
    }
    if (watch->alone_since == 0)
        watch->alone_since = now;
    return now - watch->alone_since < ALONE_MS;
}

/*
 * Return true where this process is to watch. A process of a single handshake may end with its connection. So only one
 * in two seconds tries. The lock is held.
 */
static bool is_to_watch(consul_watch *watch, int64_t now)
{
    return (watch->thread == NULL || !watch->thread->has_slot) && now >= watch->next_slot
           && !consul_slot_is_crowd() && !has_watcher(watch, now)
           && (watch->handshakes > 1 || consul_family_may_begin(watch->family, now));
}

/* Start the thread with a slot, or have the running one take a slot. Try again later otherwise. The lock is held. */
static void start(consul_watch *watch, int64_t now)
{
    watch->next_slot = now + consul_jitter(SLOT_PAUSE_MS);
    if (watch->thread == NULL) {
        consul_process_start(watch, true);
        return;
    }
    watch->thread->wants_slot = true;
    consul_thread_wake(watch->thread);
}

void consul_watch_note_handshake(consul_watch *watch)
{
    int64_t now = consul_now_ms();
    int state = consul_forbid_cancel();
    bool is_second;

    consul_lock();
    consul_thread_reap(watch);
    is_second = ++watch->handshakes == 2;
    watch->idle_at = now + watch->idle_after;
    if (watch->handshakes > 1 && is_to_watch(watch, now))
        start(watch, now);
    consul_unlock();
    if (is_second)
        consul_event_tell(&(consul_event){.kind = CONSUL_EVENT_SERVES});
    consul_allow_cancel(state);
}

void consul_watch_begin_early(consul_watch *watch)
{
    int64_t now = consul_now_ms();
    unsigned of_family = consul_family_note_peer(watch->family, now);
    int state = consul_forbid_cancel();

    consul_lock();
    if (watch->handshakes == 1 && of_family > 1 && is_to_watch(watch, now))
        start(watch, now);
    consul_unlock();
    consul_allow_cancel(state);
}

int consul_watch_agent_hangs(consul_watch *watch, const consul_request *request)
{
    int reason;

    consul_lock();
    if (watch->thread == NULL && consul_now_ms() >= watch->hangs_until) {
        watch->hangs = 0;
        consul_pending_forget(watch->pending);
    }
    reason = watch->hangs != 0 ? watch->hangs : consul_pending_find(watch->pending, request);
    consul_unlock();
    return reason;
}

void consul_watch_note_failure(consul_watch *watch, const consul_request *request,
                               const consul_answer *answer, const consul_error *err)
{
    bool is_too_much = answer->crowded_out || answer->limited;
    int reason = err->reason, state;

    if (!answer->unanswered && !is_too_much)
        return;
    if (answer->unanswered) /* lost, or held up between this process and the agent */
        reason = answer->lost ? CONSUL_R_AGENT_TIMEOUT : CONSUL_R_AGENT_UNREACHABLE;
    /* A request that got only the rest of a handshake's time proves nothing about the agent. */
    if (request->deadline - answer->began < watch->agent->settings->authorize_timeout / 2)
        return;
    state = consul_forbid_cancel();
    consul_lock();
    consul_thread_reap(watch);
    /* A program that has loaded URIs only gets no thread, as it may fork. */
    if (watch->handshakes > 0) {
        if (answer->unanswered) /* the agent may answer others after "too many requests" */
            watch->hangs = reason;
        consul_pending_add(watch->pending, request, reason);
        if (watch->thread == NULL)
            consul_process_start(watch, false);
        else
            consul_thread_wake(watch->thread);
        /* No probe would find the end of the hang. */
        if (watch->thread == NULL)
            watch->hangs_until = watch->closed ? 0 : consul_deadline_after(HANG_MS);
    }
    consul_unlock();
    consul_allow_cancel(state);
}
