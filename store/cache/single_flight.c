/*
 * What one thread asks the agent is told to all who ask the same meanwhile, but never an answer to a
 * question that was sent before they came: a denial may have been accepted in between. So who finds
 * that just this is being asked does not join that: it waits for the answer, and asks again, for
 * itself and for all who have come until then. At most two are on their way at a time, but where the
 * agent is slow, one more every CONSUL_QUEUED_MS. Of those that are not about a peer there is one at a
 * time.
 */
#include "cache/single_flight.h"

#include "base/cancel.h"
#include "base/lock.h"

#include <pthread.h>
#include <string.h>

#include <openssl/crypto.h>

enum state {
    QUEUED, /* may be joined */
    SENT,
    ANSWERED
};

/* All fields but the key under the lock of base/lock.h. Lives until the last one has let go of it. */
typedef struct question {
    struct question *next;
    const void *of;
    char target[CONSUL_URI_MAX + 1]; /* empty where it is not about a peer */
    unsigned char chain[CONSUL_DIGEST_LEN];
    pthread_t asker; /* who never waits for it, not even a fibre of its own */
    enum state state;
    unsigned holders;
    pthread_cond_t changed;
    enum consul_verdict verdict;
    consul_error why;
} question;

/*
 * Under the lock: those without an answer, the last one first, and those of a parent, whose
 * conditions have waiters that are not there.
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

/* With the lock held. */
static void release(question *q)
{
    if (--q->holders != 0)
        return;
    pthread_cond_destroy(&q->changed);
    OPENSSL_free(q);
}

/* With the lock held, which is let go meanwhile. */
static void wait_for_answer(question *q, consul_deadline deadline)
{
    q->holders++;
    while (q->state != ANSWERED && consul_condition_wait(&q->changed, deadline))
        ;
}

/* With the lock held: leave it when it has an answer, which nobody can find any more then. */
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

/* With the lock held, which is let go meanwhile. Ask for all who are there when it is sent. */
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
        /* What the asker has failed at, for want of time, say, need not be so for others. */
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
    } else if (asks_alone) { /* where another one has failed, that says why */
        consul_error_set(&why, CONSUL_R_AGENT_TIMEOUT,
                         "the agent has not told another handshake in time whether this client "
                         "may connect to \"%s\"",
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
