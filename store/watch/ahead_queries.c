/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/ahead_queries.h"

#include "agent/decode.h"
#include "base/lock.h"
#include "cache/hear.h"

#include <openssl/crypto.h>

bool consul_ahead_is_wanted(const consul_watch *watch, enum consul_ahead_kind kind)
{
    const consul_ahead *ahead = watch->ahead[kind];

    return ahead != NULL && !ahead->is_sent && !ahead->is_answered;
}

bool consul_ahead_begin(consul_watch *watch, consul_query *q, enum consul_ahead_kind kind)
{
    bool is_wanted;

    consul_lock();
    is_wanted = consul_ahead_is_wanted(watch, kind);
    if (is_wanted) {
        q->ahead = watch->ahead[kind];
        q->ahead->is_sent = true;
        q->ahead->holders++;
        q->entry = q->ahead->entry;
    }
    consul_unlock();
    return is_wanted;
}

static void keep_roots(const consul_watch *watch, const consul_ahead *ahead,
                       const consul_answer *answer)
{
    consul_roots *roots = consul_entry_decode_roots(ahead->entry, answer, watch->libctx, NULL);

    if (roots != NULL
        && consul_entry_keep_roots(ahead->entry, roots, CONSUL_ASKED_ANEW, ahead->asked, 0))
        consul_tell_roots(ahead->entry, roots, answer, ahead->asked);
    consul_roots_unref(roots);
}

void consul_ahead_finish(consul_watch *watch, consul_query *q, CURLcode code)
{
    enum consul_verdict verdict = CONSUL_VERDICT_UNASKED;
    consul_ahead *ahead = q->ahead;
    consul_answer answer;
    consul_error why = {0};
    bool authorized = false;
    char reason[1];

    if (consul_exchange_finish(&q->exchange, code, &answer, &why)) {
        if (ahead->entry != NULL)
            keep_roots(watch, ahead, &answer);
        else if (consul_verdict_decode(answer.body, answer.len, &authorized, reason, sizeof(reason),
                                       NULL)
                 && authorized)
            verdict = CONSUL_VERDICT_YES;
    }
    consul_lock();
    ahead->unanswered = answer.unanswered;
    ahead->lost = answer.lost;
    ahead->reason = why.reason;
    ahead->began = q->began;
    consul_ahead_answer(ahead, verdict);
    consul_unlock();
    consul_answer_free(&answer);
}

void consul_ahead_end(consul_query *q)
{
    if (q->ahead == NULL)
        return;
    consul_lock();
    consul_ahead_answer(q->ahead, CONSUL_VERDICT_UNASKED);
    consul_ahead_release(q->ahead);
    consul_unlock();
    q->ahead = NULL;
    q->entry = NULL;
    q->next = 0;
}
