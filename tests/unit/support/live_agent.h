/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scripted Consul agent for the watch. It keeps connections, holds blocking queries, serves
 * many at a time, and remembers its requests. It issues leaves for "web", "friend" and "foe".
 * The foe may connect to no service.
 */
#ifndef CONSUL_TEST_LIVE_AGENT_H
#define CONSUL_TEST_LIVE_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mint.h"

#define LIVE_TD "11111111-2222-3333-4444-555555555555.consul"
#define LIVE_NO_INDEX UINT64_MAX /* the answer has no X-Consul-Index */

enum live_what { LIVE_ROOTS, LIVE_LEAF, LIVE_AUTHORIZE, LIVE_WHATS };

enum live_manner {
    LIVE_ANSWER,  /* as Consul does */
    LIVE_AT_ONCE, /* not waiting for anything */
    LIVE_WAVER,   /* the same, with an index that goes up and down */
    LIVE_LATE,    /* a blocking query as late as Consul may be: after wait + wait/16 */
    LIVE_HANG,    /* never, on a connection that stays open */
    LIVE_DEAF,    /* never to a request with an index, likewise; so a watch has no news */
    LIVE_FAIL,    /* HTTP status 500 */
    LIVE_PANIC,   /* not a byte to a request with an index (1.16, restarted) */
    LIVE_CROWDED  /* there are too many connections, in a newer agent's words */
};

typedef struct live_request {
    enum live_what what;
    int connection;
    int64_t at; /* as consul_deadline_after tells it */
    int64_t wait;
    uint64_t index; /* 0 for none */
} live_request;

typedef struct live_agent live_agent;

/* Start an agent. It listens, and has no content before it has issued, which uses libcrypto. */
live_agent *live_agent_start(void);
void live_agent_issue(live_agent *agent);
void live_agent_stop(live_agent *agent);
const char *live_agent_address(const live_agent *agent); /* borrowed */

/* Return the present CA, borrowed until live_agent_rotate. */
const minted *live_agent_ca(const live_agent *agent);

/* Make a new CA, and new leaves of it. The roots are this CA and the one before. */
void live_agent_rotate(live_agent *agent);

/* List one more root, which OpenSSL cannot use. */
void live_agent_list_unusable(live_agent *agent);

/* Set the manner of its answers from now on, also to waiting requests unless it hangs. */
void live_agent_behave(live_agent *agent, enum live_what what, enum live_manner manner);

/* Set the index of a kind, and answer the requests that wait for it. */
void live_agent_set_index(live_agent *agent, enum live_what what, uint64_t index);

/* Wait for the request of this number (from 0 on) of this kind, and return it. */
live_request live_agent_request(live_agent *agent, enum live_what what, int number);

int live_agent_requests(live_agent *agent, enum live_what what); /* so far */
int live_agent_opened(live_agent *agent);                        /* connections so far */
void live_agent_wait_for_open(live_agent *agent, int count);     /* connections open now */

#endif
