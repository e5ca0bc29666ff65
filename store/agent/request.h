/*
 * HTTP with the local agent, one request at a time, on a connection of its own. Any thread; the
 * calling thread waits, for the deadline at most.
 */
#ifndef CONSUL_AGENT_REQUEST_H
#define CONSUL_AGENT_REQUEST_H

#include "agent/agent.h"
#include "base/clock.h"
#include "base/name.h"
#include "identity/uri.h"

#define CONSUL_ANSWER_MAX ((size_t)4 << 20) /* bytes of one answer; a large CA bundle is 50 kB */

typedef struct consul_request {
    const char *path;          /* literal, beginning with /v1/ */
    const char *last_segment;  /* one more path segment, percent-encoded here; or NULL */
    const consul_scope *scope; /* sent as ?dc=&ns=&partition=; or NULL */
    const char *destination;   /* sent as ?by=destination&name=; or NULL */
    const char *body;          /* JSON to POST; or NULL for a GET */
    int64_t wait;              /* milliseconds of a blocking query; 0 to be answered at once */
    uint64_t index;            /* what it waits to be exceeded, or just makes the agent look for */
    bool insists;              /* it is made again where there are too many of its kind */
    consul_deadline deadline;
} consul_request;

/* An answer. Its body is there with status 200 only, NUL-terminated; it may hold a private key. */
typedef struct consul_answer {
    long status;      /* of HTTP; 0 where none came */
    bool crowded_out; /* the agent had no connection for us, until no time or try was left */
    bool limited;     /* likewise, it was too much what we insisted on */
    bool cut_off;     /* without a byte, perhaps because of the index that was asked for */
    bool unanswered;  /* for too long: consul_exchange_was_unanswered */
    bool lost;        /* the agent is: consul_exchange_found_loss */
    int64_t began;    /* when it was first asked for */
    char *body;
    size_t len;
    uint64_t index;              /* X-Consul-Index, at least 1; 0 where there was none */
    char source[CONSUL_URI_MAX]; /* "GET http://…", for messages about the content */
} consul_answer;

/*
 * Make one request on a connection of its own; again where the agent had too many connections and
 * refused it, in time for the deadline. Free the answer with consul_answer_free, also after an error.
 */
int consul_agent_request(const consul_agent *agent, const consul_request *request,
                         consul_answer *answer, consul_error *err);
void consul_answer_free(consul_answer *answer); /* cleanses */

/* This thread's TLS is libcurl's own from here on, or no longer. */
void consul_enter_request(bool inside);
bool consul_in_request(void);

#endif
