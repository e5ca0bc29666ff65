/*
 * Requests that the agent has left without an answer. One that has lost its leader, say, answers what
 * it has cached and nothing else: who asks again what was not answered would wait again in vain.
 */
#include "cache/unanswered.h"

#include <string.h>

#include <openssl/crypto.h>

#define UNANSWERED_MAX 8 /* what is more is forgotten, and waited for again */

struct consul_unanswered {
    consul_question questions[UNANSWERED_MAX]; /* without a path where there is none */
    size_t next;
};

consul_unanswered *consul_unanswered_new(consul_error *err)
{
    consul_unanswered *all = OPENSSL_zalloc(sizeof(*all));

    if (all == NULL)
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the store");
    return all;
}

void consul_unanswered_free(consul_unanswered *all)
{
    if (all == NULL)
        return;
    consul_unanswered_forget(all);
    OPENSSL_free(all);
}

void consul_question_clear(consul_question *question)
{
    OPENSSL_free(question->body);
    memset(question, 0, sizeof(*question));
}

static bool copy(consul_question *to, const char *path, const char *last_segment,
                 const consul_scope *scope, const char *body)
{
    consul_question_clear(to);
    if (body != NULL && (to->body = OPENSSL_strdup(body)) == NULL)
        return false;
    to->path = path;
    OPENSSL_strlcpy(to->last_segment, last_segment, sizeof(to->last_segment));
    to->scope = *scope;
    return true;
}

consul_request consul_question_request(const consul_question *question)
{
    return (consul_request){
        .path = question->path,
        .last_segment = *question->last_segment == '\0' ? NULL : question->last_segment,
        .scope = &question->scope,
        .body = question->body,
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

/* Bodies are not compared: one decision that does not come speaks for the others. */
static consul_question *find_like(consul_unanswered *all, const consul_request *request)
{
    const consul_scope *scope = scope_of(request);
    size_t i;

    for (i = 0; i < UNANSWERED_MAX; i++) {
        consul_question *q = &all->questions[i];

        if (q->path != NULL && strcmp(q->path, request->path) == 0
            && strcmp(q->last_segment, segment_of(request)) == 0
            && strcmp(q->scope.dc, scope->dc) == 0 && strcmp(q->scope.ns, scope->ns) == 0
            && strcmp(q->scope.partition, scope->partition) == 0)
            return q;
    }
    return NULL;
}

int consul_unanswered_find(consul_unanswered *all, const consul_request *request)
{
    const consul_question *q = find_like(all, request);

    return q == NULL ? 0 : q->reason;
}

bool consul_unanswered_any(const consul_unanswered *all)
{
    size_t i;

    for (i = 0; i < UNANSWERED_MAX && all->questions[i].path == NULL; i++)
        ;
    return i < UNANSWERED_MAX;
}

void consul_unanswered_add(consul_unanswered *all, const consul_request *request, int reason)
{
    size_t i;

    for (i = 0; i < UNANSWERED_MAX && all->questions[i].path != NULL; i++)
        ;
    if (i < UNANSWERED_MAX && find_like(all, request) == NULL
        && copy(&all->questions[i], request->path, segment_of(request), scope_of(request),
                request->body))
        all->questions[i].reason = reason;
}

bool consul_unanswered_next(consul_unanswered *all, consul_question *question)
{
    size_t i;

    for (i = 0; i < UNANSWERED_MAX; i++) {
        const consul_question *q = &all->questions[all->next++ % UNANSWERED_MAX];

        if (q->path != NULL)
            return copy(question, q->path, q->last_segment, &q->scope, q->body);
    }
    return false;
}

void consul_unanswered_remove(consul_unanswered *all, const consul_question *question)
{
    consul_request request = consul_question_request(question);
    consul_question *q = question->path == NULL ? NULL : find_like(all, &request);

    if (q != NULL)
        consul_question_clear(q);
}

void consul_unanswered_note_crowd(consul_unanswered *all)
{
    size_t i;

    for (i = 0; i < UNANSWERED_MAX; i++)
        all->questions[i].reason = CONSUL_R_AGENT_UNREACHABLE;
}

void consul_unanswered_forget(consul_unanswered *all)
{
    size_t i;

    for (i = 0; i < UNANSWERED_MAX; i++)
        consul_question_clear(&all->questions[i]);
}
