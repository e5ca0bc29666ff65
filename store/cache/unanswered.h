/* Requests that the agent has left without an answer. Under the lock of base/lock.h. */
#ifndef CONSUL_CACHE_UNANSWERED_H
#define CONSUL_CACHE_UNANSWERED_H

#include "agent/request.h"

/* A request that is kept. `path` is literal; no path stands for no question. */
typedef struct consul_question {
    const char *path;
    char last_segment[CONSUL_NAME_MAX + 1];
    consul_scope scope;
    char *body;
    int reason; /* why there is no answer, enum consul_reason */
} consul_question;

consul_request consul_question_request(const consul_question *question); /* borrows from it */
void consul_question_clear(consul_question *question);

/* Some of them, under the lock of base/lock.h. */
typedef struct consul_unanswered consul_unanswered;

consul_unanswered *consul_unanswered_new(consul_error *err);
void consul_unanswered_free(consul_unanswered *all);
void consul_unanswered_add(consul_unanswered *all, const consul_request *request, int reason);
void consul_unanswered_remove(consul_unanswered *all, const consul_question *question);
void consul_unanswered_forget(consul_unanswered *all);

/* The agent is there, and has no connection to spare: from now on that is why. */
void consul_unanswered_note_crowd(consul_unanswered *all);

/* Is this one of them? Then its reason, else 0. Decisions are alike. */
int consul_unanswered_find(consul_unanswered *all, const consul_request *request);
bool consul_unanswered_any(const consul_unanswered *all);

/* A copy of each in turn; false if there is none. Clear it in the end. */
bool consul_unanswered_next(consul_unanswered *all, consul_question *question);

#endif
