/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP exchange with the agent on libcurl. request.c waits for an exchange, and watch/queries.c
 * runs several at a time. An exchange belongs to one thread, and does not survive a fork.
 */
#ifndef CONSUL_AGENT_EXCHANGE_H
#define CONSUL_AGENT_EXCHANGE_H

#include "agent/attempts.h"
#include "agent/request.h"
#include "agent/token.h"

#include <sys/types.h>

#include <curl/curl.h>

typedef struct consul_exchange {
    const consul_agent *agent; /* borrowed */
    CURL *curl;
    CURLcode code; /* libcurl's result, of HTTPS in a thread of its own */
    CURLU *url;
    struct curl_slist *headers, *connect_to;
    struct curl_slist *addresses; /* of the agent's name, where libcurl could not look it up */
    struct {                      /* the body of the answer, in bytes, with a NUL after it */
        char *data;
        size_t len, size;
        bool too_large;
    } body;
    enum consul_token token;         /* the source of the token that was sent, if any */
    char untrusted[400];             /* the fault of the agent's certificate, in words; or "" */
    int fd;                          /* libcurl's new socket, -1 on a reused connection */
    int own_port;                    /* of its TCP connection, new or reused; 0 before that */
    consul_error stranger;           /* the error where another user has the agent's address */
    uint64_t index;                  /* X-Consul-Index, 0 without it */
    bool writes;                     /* true where the answer may be empty */
    bool passed_over;                /* true where an address was left out: attempts.h */
    consul_attempts attempts;        /* the addresses of all connections that were begun */
    bool is_for_newer;               /* the answer is one after that of an index */
    bool logs_in;                    /* true for a login: its status says nothing about the agent */
    int64_t began;                   /* in milliseconds of base/clock.h */
    int want;                        /* errno, where this process got no socket */
    bool has_time;                   /* true where the timeout is long enough for a healthy agent */
    consul_deadline look_up_until;   /* the latest moment for the address of the agent's name */
    bool was_looked_up;              /* true where a connection was begun by then */
    bool unread;                     /* true where this process was too slow to read an answer */
    char source[CONSUL_URI_MAX];     /* "GET http://…", for error texts */
    char curl_text[CURL_ERROR_SIZE]; /* libcurl's words for an error */
} consul_exchange;

/*
 * Make a request ready to run on a connection of its own. The exchange borrows the agent, and
 * nothing of `request` but the body of a login. It must not move in memory. Return 0 with an error where it cannot run. The
 * caller clears it in both cases.
 */
int consul_exchange_prepare(consul_exchange *exchange, const consul_agent *agent,
                            const consul_request *request, consul_error *err);

/* Return true for an address that is left out, and note that. */
bool consul_exchange_passes_over(consul_exchange *exchange, const struct curl_sockaddr *address);

/*
 * Note the new socket of CURLOPT_OPENSOCKETFUNCTION, or the errno of a failure to open it. Return
 * the socket.
 */
curl_socket_t consul_exchange_note_socket(consul_exchange *exchange,
                                          const struct curl_sockaddr *address, int fd);

/* Note that a socket, of this exchange or of another, is about to be closed (CURLOPT_CLOSESOCKETFUNCTION). */
void consul_exchange_note_close(consul_exchange *exchange, int fd);

/*
 * Take the answer after libcurl has ended with `code`. Return 0 with an error unless the agent has
 * answered with status 200 and a body.
 */
int consul_exchange_finish(consul_exchange *exchange, CURLcode code, consul_answer *answer,
                           consul_error *err);

/*
 * Cleanse the token and the body, and free the exchange's parts. An exchange of zeros is allowed.
 */
void consul_exchange_clear(consul_exchange *exchange);

#endif
