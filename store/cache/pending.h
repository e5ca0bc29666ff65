/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pending requests: the agent has left them without an answer. An agent without a leader, for
 * example, answers from its cache and leaves the rest. Another handshake with such a request would
 * wait in vain.
 *
 * All functions need the lock of base/lock.h. Texts are copies, apart from the literal paths.
 */
#ifndef CONSUL_CACHE_PENDING_H
#define CONSUL_CACHE_PENDING_H

#include "agent/request.h"

/* A pending request. All zeros stand for no request. */
typedef struct consul_pending_request {
    const char *path;                       /* a literal, NULL without a request */
    char last_segment[CONSUL_NAME_MAX + 1]; /* "" without a segment */
    consul_scope scope;
    char *body; /* NULL for a GET */
    int reason; /* the reason for the missing answer, enum consul_reason */
} consul_pending_request;

/* Return the request itself, which borrows from `pending`. */
consul_request consul_pending_request_of(const consul_pending_request *pending);

/* Free the parts of a pending request, and leave zeros. */
void consul_pending_request_clear(consul_pending_request *pending);

/* The pending requests of one watch, in a bounded number. */
typedef struct consul_pending consul_pending;

/* Return an empty list. Return NULL with an error without memory. */
consul_pending *consul_pending_new(consul_error *err);

/* Free the list. NULL is allowed. */
void consul_pending_free(consul_pending *all);

/* Add a request, or set the reason of one like it. A request beyond the limit is forgotten. */
void consul_pending_add(consul_pending *all, const consul_request *request, int reason);

/* Remove the request that is like `pending`, and remove all. */
void consul_pending_remove(consul_pending *all, const consul_pending_request *pending);
void consul_pending_forget(consul_pending *all);

/* Set the reason of all to CONSUL_R_AGENT_UNREACHABLE, which is no loss: the agent may be there. */
void consul_pending_excuse(consul_pending *all);

/*
 * Return the reason of the pending request that is like `request`, or 0. Bodies are not compared,
 * so that all questions are alike.
 */
int consul_pending_find(consul_pending *all, const consul_request *request);

/* Return true where a request is pending. */
bool consul_pending_any(const consul_pending *all);

/*
 * Copy the next pending request, in turn. Return false without one, or without memory. The caller
 * clears the copy in the end, and before that may give it to this function again.
 */
bool consul_pending_next(consul_pending *all, consul_pending_request *pending);

#endif
