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
 */
#include "watch/watch.h"

#include "agent/slot.h"
#include "base/cancel.h"
#include "base/lock.h"
#include "watch/process.h"
#include "watch/state.h"
#include "watch/thread.h"

#include <openssl/crypto.h>

#define IDLE_MS 60000 /* without a handshake: the slot is given to others */

consul_watch *consul_watch_new(const consul_agent *agent, consul_table *table, OSSL_LIB_CTX *libctx,
                               consul_error *err)
{
    consul_watch *watch = OPENSSL_zalloc(sizeof(*watch));

    if (watch == NULL || (watch->pending = consul_pending_new(err)) == NULL) {
        OPENSSL_free(watch);
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the store");
        return NULL;
    }
    watch->agent = agent;
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
    consul_pending_free(watch->pending);
    OPENSSL_free(watch);
}

void consul_watch_note_handshake(consul_watch *watch)
{
    int64_t now = consul_now_ms();
    int state = consul_forbid_cancel();

    consul_lock();
    consul_thread_reap(watch);
    watch->handshakes++;
    watch->idle_at = now + watch->idle_after;
    if (watch->handshakes > 1 && watch->thread == NULL && now >= watch->next_slot
        && !consul_slot_is_crowd()) {
        watch->next_slot = now + consul_jitter(SLOT_PAUSE_MS);
        consul_process_start(watch, true);
    }
    consul_unlock();
    consul_allow_cancel(state);
}

int consul_watch_agent_hangs(consul_watch *watch, const consul_request *request)
{
    int reason;

    consul_lock();
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
    if (answer->unanswered) /* by the agent, or by what is between it and us */
        reason = answer->lost ? CONSUL_R_AGENT_TIMEOUT : CONSUL_R_AGENT_UNREACHABLE;
    /* What was left only the rest of a handshake's time says nothing about the agent. */
    if (request->deadline - answer->began < watch->agent->settings->authorize_timeout / 2)
        return;
    state = consul_forbid_cancel();
    consul_lock();
    consul_thread_reap(watch);
    /* Not where a program loads URIs, and will perhaps fork. */
    if (watch->handshakes > 0) {
        if (answer->unanswered) /* where there are too many, others may have better luck */
            watch->hangs = reason;
        consul_pending_add(watch->pending, request, reason);
        if (watch->thread == NULL)
            consul_process_start(watch, false);
        else
            consul_thread_wake(watch->thread);
        if (watch->thread == NULL) { /* nobody would find out when it does no longer */
            watch->hangs = 0;
            consul_pending_forget(watch->pending);
        }
    }
    consul_unlock();
    consul_allow_cancel(state);
}
