/*
 * One HTTP exchange with the agent, made ready for libcurl: by request.c, which waits for it, and by
 * watch/queries.c, which lets it run beside others.
 */
#ifndef CONSUL_AGENT_EXCHANGE_H
#define CONSUL_AGENT_EXCHANGE_H

#include "agent/attempts.h"
#include "agent/request.h"

#include <sys/types.h>

#include <curl/curl.h>

typedef struct consul_exchange {
    const consul_agent *agent; /* borrowed */
    CURL *curl;
    CURLU *url;
    struct curl_slist *headers, *connect_to;
    struct {
        char *data;
        size_t len, size;
        bool too_large;
    } body;
    int fd;                          /* of its connection, libcurl's; -1 for one that is reused */
    consul_error stranger;           /* why that is no connection to the agent, if so */
    uint64_t index;                  /* X-Consul-Index, 0 where there was none */
    consul_attempts attempts;        /* to connect */
    int want;                        /* errno, where this process had no socket to ask by */
    bool has_time;                   /* enough for an agent that is there to answer in */
    consul_deadline look_up_until;   /* for a name, or the agent has no more than the rest of it */
    bool was_looked_up;              /* by then: a connection to the agent was begun */
    char source[CONSUL_URI_MAX];     /* "GET http://…" */
    char curl_text[CURL_ERROR_SIZE]; /* its own words for an error */
} consul_exchange;

/*
 * Make a request ready to run on a connection of its own. It borrows the agent and nothing else. At
 * the same place in memory as long as it lives; clear it also after an error.
 */
int consul_exchange_prepare(consul_exchange *exchange, const consul_agent *agent,
                            const consul_request *request, consul_error *err);

/* In CURLOPT_OPENSOCKETFUNCTION: note this socket, or, by errno, that there was none. Returns it. */
curl_socket_t consul_exchange_note_socket(consul_exchange *exchange,
                                          const struct curl_sockaddr *address, int fd);

/* Take the answer after libcurl has ended with `code`. */
int consul_exchange_finish(consul_exchange *exchange, CURLcode code, consul_answer *answer,
                           consul_error *err);

/*
 * Had the agent no connection left for us? Then it cuts us off before any answer, or after words to
 * that effect, as a newer one.
 */
bool consul_exchange_was_crowded_out(const consul_exchange *exchange, CURLcode code);

/* Did the agent refuse because there are too many requests, as for more leaves than it may sign? */
bool consul_exchange_was_limited(const consul_exchange *exchange, CURLcode code);

/* Did it end because it took too long, and not because of a handshake that had no time left? */
bool consul_exchange_was_unanswered(const consul_exchange *exchange, CURLcode code);

/*
 * Is the agent lost? That is one which nobody of this host reaches, which has left a request without
 * an answer for long enough, or which says 5xx. What this process or the agent has too little of for
 * us is no loss: anybody who takes it away could bring that about. Nor is a resolver that hangs.
 */
bool consul_exchange_found_loss(const consul_exchange *exchange, CURLcode code);

void consul_exchange_clear(consul_exchange *exchange); /* cleanses */

#endif
