/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/ahead.h"

#include "base/lock.h"

#include <stdlib.h>

#include <openssl/crypto.h>

/* The questions of a parent, under the lock. */
static consul_ahead *forgotten;

consul_ahead *consul_ahead_new(consul_entry *entry, char *body, consul_deadline deadline)
{
    consul_ahead *ahead = OPENSSL_zalloc(sizeof(*ahead));

    if (ahead == NULL || !consul_condition_make(&ahead->changed)) {
        OPENSSL_free(ahead);
        free(body);
        return NULL;
    }
    ahead->entry = entry;
    ahead->body = body;
    ahead->asked = consul_now_us();
    ahead->deadline = deadline;
    ahead->holders = 1;
    ahead->verdict = CONSUL_VERDICT_UNASKED;
    return ahead;
}

void consul_ahead_release(consul_ahead *ahead)
{
    if (ahead == NULL || --ahead->holders != 0)
        return;
    pthread_cond_destroy(&ahead->changed);
    free(ahead->body);
    OPENSSL_free(ahead);
}

void consul_ahead_answer(consul_ahead *ahead, enum consul_verdict verdict)
{
    if (ahead->is_answered)
        return;
    ahead->verdict = verdict;
    ahead->is_answered = true;
    pthread_cond_broadcast(&ahead->changed);
}

bool consul_ahead_wait(consul_ahead *ahead, consul_deadline deadline)
{
    while (!ahead->is_answered && consul_condition_wait(&ahead->changed, deadline))
        ;
    return ahead->is_answered;
}

void consul_ahead_forget_all(consul_ahead *all[CONSUL_AHEAD_KINDS])
{
    int kind;

    for (kind = 0; kind < CONSUL_AHEAD_KINDS; kind++) {
        if (all[kind] == NULL)
            continue;
        all[kind]->next = forgotten;
        forgotten = all[kind];
        all[kind] = NULL;
    }
}

void consul_ahead_end_all(consul_ahead *all[CONSUL_AHEAD_KINDS])
{
    int kind;

    for (kind = 0; kind < CONSUL_AHEAD_KINDS; kind++) {
        if (all[kind] != NULL)
            consul_ahead_answer(all[kind], CONSUL_VERDICT_UNASKED);
        consul_ahead_release(all[kind]);
        all[kind] = NULL;
    }
}
