/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP with the local agent, one request at a time. Each request has a connection of its own, which
 * is closed at the end. So a fork inherits no connection. No idle connection uses one of the
 * agent's few per host (limits.http_max_conns_per_client). Any thread; the calling thread waits,
 * for the deadline at most.
 */
#ifndef CONSUL_AGENT_REQUEST_H
#define CONSUL_AGENT_REQUEST_H

#include "agent/agent.h"
#include "base/clock.h"
#include "base/name.h"
#include "identity/uri.h"

#define CONSUL_ANSWER_MAX ((size_t)4 << 20) /* bytes of one answer; a large CA bundle is 50 kB */

typedef struct consul_request {
    const char *path;          /* a literal that begins with /v1/ */
    const char *last_segment;  /* one more path segment, not yet percent-encoded, or NULL */
    const consul_scope *scope; /* the values of ?dc=&ns=&partition=, or NULL */
    const char *destination;   /* the name of ?by=destination&name=, or NULL */
    const char *body;          /* the JSON of a POST, or NULL for a GET */
    bool writes;               /* true for a PUT, whose answer may be empty */
    int64_t wait;              /* milliseconds of a blocking query, 0 without blocking */
    uint64_t index;            /* an index for a change to exceed; the agent looks anew for it */
    const char *token;         /* a token in the place of the agent's, or NULL */
    bool is_open;              /* true where no token is needed, and so no login */
    bool logs_in;              /* true for a login, which has a JWT and no token */
    bool stale;                /* true where any of Consul's servers may answer: ?stale */
    bool insists;              /* true for another try after an answer of "too many requests" */
    consul_deadline deadline;
} consul_request;

/* An answer, of its caller's. */
typedef struct consul_answer {
    long status;      /* the HTTP status, 0 without an answer */
    bool crowded_out; /* true where the agent was crowded at the last try */
    bool limited;     /* true where an insisting request was one of too many to the end */
    bool cut_off;     /* true without a byte of an answer, perhaps for the index */
    bool unanswered;  /* true after too long a time: consul_exchange_was_unanswered */
    bool lost;        /* true where the agent is lost: consul_exchange_found_loss */
    bool disowned;    /* true where Consul does not know the token: consul_exchange_was_disowned */
    int64_t began;    /* the moment of the first try, in milliseconds */
    char *body;       /* with status 200 only, with a NUL; perhaps a private key */
    size_t len;       /* bytes of the body */
    uint64_t index;   /* X-Consul-Index, at least 1, or 0 without it */
    int64_t date;     /* by the agent's clock, in seconds since 1970, or 0 without a Date */
    char source[CONSUL_URI_MAX]; /* "GET http://…", for errors about the content */
} consul_answer;

/*
 * Make one request, and return 1 with its answer. Make it again where the agent was crowded, in
 * time for the deadline. Return 0 with an error otherwise. The caller frees the answer with
 * consul_answer_free in both cases.
 */
int consul_agent_request(const consul_agent *agent, const consul_request *request,
                         consul_answer *answer, consul_error *err);

/* Cleanse the body of an answer and free it. */
void consul_answer_free(consul_answer *answer);

/* Mark the TLS of this thread as libcurl's own, or as the host's again. */
void consul_enter_request(bool inside);

/* Return true while the TLS of this thread is libcurl's own. */
bool consul_in_request(void);

#endif
