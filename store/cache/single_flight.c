/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/single_flight.h"

#include "base/cancel.h"
#include "base/lock.h"

#include <pthread.h>
#include <string.h>

#include <openssl/crypto.h>

enum state {
    QUEUED, /* not sent, so that other threads may join */
    SENT,
    ANSWERED
};

/*
 * A question, under the lock of base/lock.h apart from its key. It lives until its last holder
 * leaves.
 */
typedef struct question {
    struct question *next;
    const void *of;
    char target[CONSUL_URI_MAX + 1]; /* a SPIFFE ID, empty without a peer */
    unsigned char chain[CONSUL_DIGEST_LEN];
    pthread_t asker; /* the thread that asks; none of its own fibres may wait for it */
    enum state state;
    unsigned holders; /* the number of threads that use the question */
    pthread_cond_t changed;
    enum consul_verdict verdict;
    consul_error why; /* the reason for a verdict other than yes */
} question;

/*
 * The questions without an answer, the newest first, and the questions of a parent. The conditions
 * of a parent's questions have waiters that are gone. Both are under the lock.
 */
static question *questions, *forgotten;

static question *find_other(const question *like, enum state state)
{
    question *q = questions;

    while (q != NULL
           && (q->state != state || q->of != like->of || strcmp(q->target, like->target) != 0
               || memcmp(q->chain, like->chain, sizeof(q->chain)) != 0
               || pthread_equal(q->asker, like->asker)))
        q = q->next;
    return q;
}

static question *make(const void *of, const consul_spiffe_id *target,
                      const unsigned char chain[CONSUL_DIGEST_LEN])
{
    question *q = OPENSSL_zalloc(sizeof(*q));

    if (q == NULL)
        return NULL;
    if (!consul_condition_make(&q->changed)) {
        OPENSSL_free(q);
        return NULL;
    }
    q->of = of;
    if (target != NULL) {
        OPENSSL_strlcpy(q->target, target->uri, sizeof(q->target));
        memcpy(q->chain, chain, sizeof(q->chain));
    }
    q->asker = pthread_self();
    q->state = QUEUED;
    q->holders = 1;
    return q;
}

/* Leave a question, with the lock held. The last holder frees it. */
static void release(question *q)
{
    if (--q->holders != 0)
        return;
    pthread_cond_destroy(&q->changed);
    OPENSSL_free(q);
}

/* Hold a question and wait for its answer, with the lock held, and without it meanwhile. */
static void wait_for_answer(question *q, consul_deadline deadline)
{
    q->holders++;
    while (q->state != ANSWERED && consul_condition_wait(&q->changed, deadline))
        ;
}

/* Give a question its answer, with the lock held. No new thread finds it any more. */
static void answer(question *q, enum consul_verdict verdict, const consul_error *why)
{
    question **link = &questions;

    while (*link != NULL && *link != q)
        link = &(*link)->next;
    if (*link == q)
        *link = q->next;
    q->verdict = verdict;
    q->why = *why;
    q->state = ANSWERED;
    pthread_cond_broadcast(&q->changed);
}

/*
 * Ask for all threads that are there when the request is sent, and return the verdict. The lock is
 * held, but not meanwhile.
 */
static enum consul_verdict ask_for_all(question *own, consul_deadline deadline, consul_ask ask,
                                       void *arg, consul_error *why)
{
    consul_deadline queued_until = consul_deadline_after(CONSUL_QUEUED_MS);
    enum consul_verdict verdict;
    question *sent;

    if (queued_until > deadline || *own->target == '\0')
        queued_until = deadline;
    own->next = questions;
    questions = own;
    while ((sent = find_other(own, SENT)) != NULL && consul_now_ms() < queued_until) {
        wait_for_answer(sent, queued_until);
        release(sent);
    }
    own->state = SENT;
    consul_unlock();
    verdict = ask(arg, why);
    consul_lock();
    answer(own, verdict, why);
    return verdict;
}

enum consul_verdict consul_single_flight(const void *of, const consul_spiffe_id *target,
                                         const unsigned char chain[CONSUL_DIGEST_LEN],
                                         consul_deadline deadline, consul_ask ask, void *arg,
                                         consul_error *err)
{
    bool can_share = target == NULL || consul_digest_is_set(chain);
    question *own = can_share ? make(of, target, chain) : NULL, *q;
    enum consul_verdict verdict = CONSUL_VERDICT_UNASKED;
    consul_error why = {0};
    bool asks_alone = own == NULL;
    int cancel_state = consul_forbid_cancel();

    consul_lock();
    q = own == NULL ? NULL : find_other(own, QUEUED);
    if (q != NULL) {
        wait_for_answer(q, deadline);
        if (q->state == ANSWERED) {
            verdict = q->verdict;
            why = q->why;
        }
        release(q);
        /* The asker may have failed alone, for lack of time for example. */
        asks_alone = verdict != CONSUL_VERDICT_YES && verdict != CONSUL_VERDICT_NO;
    } else if (own != NULL) {
        verdict = ask_for_all(own, deadline, ask, arg, &why);
    }
    if (own != NULL)
        release(own);
    consul_unlock();
    consul_allow_cancel(cancel_state);
    if (asks_alone && consul_now_ms() < deadline) {
        why = (consul_error){0};
        verdict = ask(arg, &why);
    } else if (asks_alone) { /* a failure of the other thread keeps its own reason */
        consul_error_set(&why, CONSUL_R_AGENT_TIMEOUT,
                         "another handshake has asked whether this client may connect to \"%s\", "
                         "and has no answer yet",
                         target == NULL ? "" : target->service);
    }
    if (verdict != CONSUL_VERDICT_YES)
        consul_error_copy(err, &why);
    return verdict;
}

void consul_single_flight_forget(void)
{
    while (questions != NULL) {
        question *q = questions;

        questions = q->next;
        q->next = forgotten;
        forgotten = q;
    }
}
