/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions ahead: requests for a handshake whose peer has not shown its certificate yet. The thread of a watch makes them,
 * while the peer makes its messages. The handshake takes the answer where its own question is the same.
 *
 * Any thread. The lock of base/lock.h is held in all functions but consul_ahead_new. A fork leaves the
 * questions to the parent: consul_ahead_forget_all.
 */
#ifndef CONSUL_CACHE_AHEAD_H
#define CONSUL_CACHE_AHEAD_H

#include "agent/authorize.h"
#include "cache/entry.h"

#include <pthread.h>

/* The kinds of questions ahead. At most one of each kind is on its way. */
enum consul_ahead_kind { CONSUL_AHEAD_ROOTS, CONSUL_AHEAD_VERDICT, CONSUL_AHEAD_KINDS };

typedef struct consul_ahead {
    struct consul_ahead *next; /* the next forgotten question */
    consul_entry *entry;       /* of the roots, borrowed; NULL for a verdict */
    char *body;                /* the body of the request, owned; NULL for the roots */
    int64_t asked;             /* a moment before the request, in microseconds */
    consul_deadline deadline;  /* of the request */
    /* Under the lock: */
    unsigned holders; /* the number of its users */
    bool is_sent, is_answered;
    enum consul_verdict verdict; /* UNASKED without a verdict */
    bool unanswered, lost;       /* as in consul_answer */
    int reason;                  /* of a failure, enum consul_reason */
    int64_t began;               /* the moment of the request, in milliseconds */
    pthread_cond_t changed;
} consul_ahead;

/* Return a question with one holder, or NULL without resources. It takes `body` in both cases. */
consul_ahead *consul_ahead_new(consul_entry *entry, char *body, consul_deadline deadline);

/* Leave a question. The last holder frees it. NULL is allowed. */
void consul_ahead_release(consul_ahead *ahead);

/* Give a question its answer, and wake all that wait for it. A second answer changes nothing. */
void consul_ahead_answer(consul_ahead *ahead, enum consul_verdict verdict);

/* Wait for the answer, without the lock meanwhile. Return false after the deadline. */
bool consul_ahead_wait(consul_ahead *ahead, consul_deadline deadline);

/* Forget the questions of the parent, in the child of a fork. Their conditions have waiters that are gone. */
void consul_ahead_forget_all(consul_ahead *all[CONSUL_AHEAD_KINDS]);

/* Answer all that wait, without a verdict, and leave the questions. */
void consul_ahead_end_all(consul_ahead *all[CONSUL_AHEAD_KINDS]);

#endif
