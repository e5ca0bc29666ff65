/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/ask_ahead.h"

#include "agent/slot.h"
#include "base/cancel.h"
#include "base/lock.h"
#include "watch/process.h"
#include "watch/thread.h"

#include <string.h>

#include <openssl/crypto.h>

/* Set the question of a kind, unless an earlier question is on its way. The lock is held. */
static void set(consul_watch *watch, enum consul_ahead_kind kind, consul_ahead *ahead)
{
    consul_ahead **place = &watch->ahead[kind];

    if (ahead == NULL)
        return;
    if (*place != NULL && !(*place)->is_answered) {
        consul_ahead_release(ahead);
        return;
    }
    consul_ahead_release(*place);
    *place = ahead;
}

/* Return the end of a request, shortly before that of the handshake. A hang is known in time then. */
static consul_deadline end_before(const consul_watch *watch, consul_deadline deadline)
{
    int most = watch->agent->settings->authorize_timeout;
    consul_deadline end = consul_deadline_after(most);

    return (end < deadline ? end : deadline) - most / 16;
}

void consul_watch_ask_ahead(consul_watch *watch, consul_entry *of_roots, char *body,
                            consul_deadline deadline)
{
    consul_deadline end = end_before(watch, deadline);
    consul_ahead *roots = of_roots == NULL ? NULL : consul_ahead_new(of_roots, NULL, end);
    consul_ahead *verdict = body == NULL ? NULL : consul_ahead_new(NULL, body, end);
    int state = consul_forbid_cancel();

    consul_lock();
    consul_thread_reap(watch);
    set(watch, CONSUL_AHEAD_ROOTS, roots);
    set(watch, CONSUL_AHEAD_VERDICT, verdict);
    watch->asks_ahead = true;
    if (watch->thread == NULL && verdict != NULL && !consul_slot_is_crowd())
        consul_process_start(watch, false);
    else if (watch->thread != NULL)
        consul_thread_wake(watch->thread);
    if (watch->thread == NULL)
        consul_ahead_end_all(watch->ahead);
    consul_unlock();
    consul_allow_cancel(state);
}

/* Note that the agent has left a question without an answer, as of a handshake that has asked by itself. */
static void note_failure(consul_watch *watch, const consul_ahead *ahead)
{
    consul_request request = {.path = CONSUL_AUTHORIZE_PATH, .body = ahead->body};
    const consul_answer answer = {
        .unanswered = ahead->unanswered, .lost = ahead->lost, .began = ahead->began};
    const consul_error why = {.reason = ahead->reason};

    if (ahead->entry != NULL)
        request = consul_entry_request(ahead->entry);
    request.deadline = ahead->deadline;
    consul_watch_note_failure(watch, &request, &answer, &why);
}

/*
 * Wait for the answer to the last question of a kind. It is about this entry or has this body, and was asked at `since` or later.
 * Return the answered question with a holder, or NULL. `*was_there` is true for an answer that was there before.
 */
static consul_ahead *await(consul_watch *watch, enum consul_ahead_kind kind,
                           const consul_entry *entry, const char *body, int64_t since,
                           consul_deadline deadline, bool *was_there)
{
    bool is_answered = false;
    consul_ahead *ahead;

    consul_lock();
    ahead = watch->ahead[kind];
    if (ahead != NULL && ahead->asked >= since && ahead->entry == entry
        && (body == NULL || strcmp(ahead->body, body) == 0)) {
        ahead->holders++;
        *was_there = ahead->is_answered;
        is_answered = consul_ahead_wait(ahead, deadline);
        if (!is_answered)
            consul_ahead_release(ahead);
    }
    consul_unlock();
    if (!is_answered)
        return NULL;
    if (ahead->unanswered)
        note_failure(watch, ahead);
    return ahead;
}

static void release(consul_ahead *ahead)
{
    consul_lock();
    consul_ahead_release(ahead);
    consul_unlock();
}

void consul_watch_await_roots(consul_watch *watch, const consul_entry *of_roots, int64_t since,
                              consul_deadline deadline)
{
    int state = consul_forbid_cancel();
    bool was_there;

    release(await(watch, CONSUL_AHEAD_ROOTS, of_roots, NULL, since, deadline, &was_there));
    consul_allow_cancel(state);
}

bool consul_watch_knows_ahead(consul_watch *watch, const char *body, int64_t since,
                              consul_deadline deadline, int64_t *asked)
{
    int state = consul_forbid_cancel();
    bool was_there, is_yes = false;
    consul_ahead *ahead =
        await(watch, CONSUL_AHEAD_VERDICT, NULL, body, since, deadline, &was_there);

    if (ahead != NULL) {
        is_yes = ahead->verdict == CONSUL_VERDICT_YES
                 && (!was_there || consul_now_us() - ahead->asked < CONSUL_AHEAD_AGE_US);
        *asked = ahead->asked / 1000;
        release(ahead);
    }
    consul_allow_cancel(state);
    return is_yes;
}
