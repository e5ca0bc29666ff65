/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/pending.h"

#include <string.h>

#include <openssl/crypto.h>

#define UNANSWERED_MAX 8 /* requests; handshakes wait again for any beyond */

struct consul_pending {
    consul_pending_request requests[UNANSWERED_MAX];
    size_t next; /* the place after the last one that consul_pending_next has copied */
};

consul_pending *consul_pending_new(consul_error *err)
{
    consul_pending *all = OPENSSL_zalloc(sizeof(*all));

    if (all == NULL)
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the store");
    return all;
}

void consul_pending_free(consul_pending *all)
{
    if (all == NULL)
        return;
    consul_pending_forget(all);
    OPENSSL_free(all);
}

void consul_pending_request_clear(consul_pending_request *pending)
{
    OPENSSL_free(pending->body);
    memset(pending, 0, sizeof(*pending));
}

static bool copy(consul_pending_request *to, const char *path, const char *last_segment,
                 const consul_scope *scope, const char *body)
{
    consul_pending_request_clear(to);
    if (body != NULL && (to->body = OPENSSL_strdup(body)) == NULL)
        return false;
    to->path = path;
    OPENSSL_strlcpy(to->last_segment, last_segment, sizeof(to->last_segment));
    to->scope = *scope;
    return true;
}

consul_request consul_pending_request_of(const consul_pending_request *pending)
{
    return (consul_request){
        .path = pending->path,
        .last_segment = *pending->last_segment == '\0' ? NULL : pending->last_segment,
        .scope = &pending->scope,
        .body = pending->body,
        .deadline = CONSUL_NO_DEADLINE,
    };
}

static const char *segment_of(const consul_request *request)
{
    return request->last_segment == NULL ? "" : request->last_segment;
}

static const consul_scope *scope_of(const consul_request *request)
{
    static const consul_scope nowhere;

    return request->scope == NULL ? &nowhere : request->scope;
}

/* Return the pending request like `request`, or NULL. One missing verdict speaks for the others. */
static consul_pending_request *find_like(consul_pending *all, const consul_request *request)
{
    const consul_scope *scope = scope_of(request);
    size_t i;

    for (i = 0; i < UNANSWERED_MAX; i++) {
        consul_pending_request *q = &all->requests[i];

        if (q->path != NULL && strcmp(q->path, request->path) == 0
            && strcmp(q->last_segment, segment_of(request)) == 0
            && strcmp(q->scope.dc, scope->dc) == 0 && strcmp(q->scope.ns, scope->ns) == 0
            && strcmp(q->scope.partition, scope->partition) == 0)
            return q;
    }
    return NULL;
}

int consul_pending_find(consul_pending *all, const consul_request *request)
{
    const consul_pending_request *q = find_like(all, request);

    return q == NULL ? 0 : q->reason;
}

bool consul_pending_any(const consul_pending *all)
{
    size_t i;

    for (i = 0; i < UNANSWERED_MAX && all->requests[i].path == NULL; i++)
        ;
    return i < UNANSWERED_MAX;
}

void consul_pending_add(consul_pending *all, const consul_request *request, int reason)
{
    consul_pending_request *q = find_like(all, request);
    size_t i;

    for (i = 0; q == NULL && i < UNANSWERED_MAX; i++) {
        if (all->requests[i].path == NULL
            && copy(&all->requests[i], request->path, segment_of(request), scope_of(request),
                    request->body))
            q = &all->requests[i];
    }
    if (q != NULL)
        q->reason = reason;
}

bool consul_pending_next(consul_pending *all, consul_pending_request *pending)
{
    size_t i;

    for (i = 0; i < UNANSWERED_MAX; i++) {
        const consul_pending_request *q = &all->requests[all->next++ % UNANSWERED_MAX];

        if (q->path != NULL)
            return copy(pending, q->path, q->last_segment, &q->scope, q->body);
    }
    return false;
}

void consul_pending_remove(consul_pending *all, const consul_pending_request *pending)
{
    consul_request request = consul_pending_request_of(pending);
    consul_pending_request *q = pending->path == NULL ? NULL : find_like(all, &request);

    if (q != NULL)
        consul_pending_request_clear(q);
}

void consul_pending_excuse(consul_pending *all)
{
    size_t i;

    for (i = 0; i < UNANSWERED_MAX; i++)
        all->requests[i].reason = CONSUL_R_AGENT_UNREACHABLE;
}

void consul_pending_forget(consul_pending *all)
{
    size_t i;

    for (i = 0; i < UNANSWERED_MAX; i++)
        consul_pending_request_clear(&all->requests[i]);
}
