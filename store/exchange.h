/*
 * One HTTP exchange with the agent, made ready for libcurl: by agent.c, which waits for it, and by
 * watch_queries.c, which lets it run beside others.
 */
#ifndef CONSUL_EXCHANGE_H
#define CONSUL_EXCHANGE_H

#include "internal.h"

#include <sys/types.h>

#include <curl/curl.h>

struct consul_agent {
    const consul_settings *settings; /* borrowed */
    consul_address address;
    uid_t user; /* of agent_user, where that is set */
};

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
    int fd;                          /* of its connection, libcurl's */
    consul_error stranger;           /* why that is no connection to the agent, if so */
    uint64_t index;                  /* X-Consul-Index, 0 where there was none */
    int want;                        /* errno, where this process had no socket to ask by */
    bool has_time;                   /* enough for an agent that is there to answer in */
    char source[CONSUL_URI_MAX];     /* "GET http://…" */
    char curl_text[CURL_ERROR_SIZE]; /* its own words for an error */
} consul_exchange;

/*
 * Make a request ready to run on a connection of its own. It borrows the agent and nothing else. At
 * the same place in memory as long as it lives; clear it also after an error.
 */
int consul_exchange_prepare(consul_exchange *exchange, const consul_agent *agent,
                            const consul_request *request, consul_error *err);

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

/*
 * Is the agent lost? That is one which nobody of this host reaches, which has left a request without
 * an answer for long enough, or which says 5xx. What this process or the agent has too little of for
 * us is no loss: anybody who takes it away could bring that about.
 */
bool consul_exchange_found_loss(const consul_exchange *exchange, CURLcode code);

void consul_exchange_clear(consul_exchange *exchange); /* cleanses */

/* ---- slot.c: which processes of this host may watch ---- */

/* A slot, as a descriptor to be closed; -1 where all are taken. */
int consul_slot_take(const consul_agent *agent);

/* Has somebody asked for this slot? It is readable when that may be so. */
bool consul_slot_is_asked_for(int fd);

/* The agent has too many connections: ask some who watch for what they hold. */
void consul_slot_ask_for_some(const consul_agent *agent);

/* Take no slot in this process for a while; and is that so now? */
void consul_slot_note_crowd(void);
bool consul_slot_is_crowd(void);

/* ---- agent_user.c: whose program is at the other end? ---- */

/* Both ends of a connection; the addresses and ports are of TCP. */
typedef struct consul_connection {
    bool is_unix;
    int fd;
    const char *agent_ip, *own_ip;
    int agent_port, own_port;
} consul_connection;

/* Read the value of agent_user; returns 0 where no user of this host has that name. */
int consul_agent_user_parse(const char *text, uid_t *uid, consul_error *err);

/*
 * Compare the user at the agent's end with that one; returns 0 also where the kernel does not tell.
 * Any thread; asks nobody but the kernel. `wanted` is the setting, for the error.
 */
int consul_agent_user_check(const consul_connection *connection, const char *wanted,
                            uid_t wanted_uid, consul_error *err);

/* ---- token.c ---- */

/* Append the header with the ACL token, if there is one. */
int consul_append_token(const consul_settings *settings, struct curl_slist **headers,
                        consul_error *err);

/* Append one line; 0 without memory. */
int consul_append_header(struct curl_slist **headers, const char *line);

#endif
