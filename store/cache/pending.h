/* Requests that the agent has left without an answer. Under the lock of base/lock.h. */
#ifndef CONSUL_CACHE_PENDING_H
#define CONSUL_CACHE_PENDING_H

#include "agent/request.h"

/* A request that is kept. `path` is literal; no path stands for no question. */
typedef struct consul_pending_request {
    const char *path;
    char last_segment[CONSUL_NAME_MAX + 1];
    consul_scope scope;
    char *body;
    int reason; /* why there is no answer, enum consul_reason */
} consul_pending_request;

consul_request consul_pending_request_of(
    const consul_pending_request *question); /* borrows from it */
void consul_pending_request_clear(consul_pending_request *question);

/* Some of them, under the lock of base/lock.h. */
typedef struct consul_pending consul_pending;

consul_pending *consul_pending_new(consul_error *err);
void consul_pending_free(consul_pending *all);

/* Add one, or note why there is no answer to it now. */
void consul_pending_add(consul_pending *all, const consul_request *request, int reason);
void consul_pending_remove(consul_pending *all, const consul_pending_request *question);
void consul_pending_forget(consul_pending *all);

/* The agent may be there, and can not be asked: from now on that is why, and no loss of it. */
void consul_pending_excuse(consul_pending *all);

/* Is this one of them? Then its reason, else 0. Decisions are alike. */
int consul_pending_find(consul_pending *all, const consul_request *request);
bool consul_pending_any(const consul_pending *all);

/* A copy of each in turn; false if there is none. Clear it in the end. */
bool consul_pending_next(consul_pending *all, consul_pending_request *question);

#endif
