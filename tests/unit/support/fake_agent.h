/* SPDX-License-Identifier: Apache-2.0 */
/* A scripted Consul agent: answers the requests of the module under test. */
#ifndef CONSUL_TEST_FAKE_AGENT_H
#define CONSUL_TEST_FAKE_AGENT_H

#include <pthread.h>
#include <stdbool.h>

#include "http_server.h"
#include "mint.h"

typedef struct fake_agent {
    http_server *server;
    char address[64];
    pthread_mutex_t lock; /* for the roots, which a watch may ask for at any time */
    char *sent;           /* a copy of the last body */
    /* Its answers; set between handshakes only. */
    char *roots;               /* body; free with fake_agent_stop */
    char *leaf;                /* of every service; likewise, NULL without a leaf */
    const char *other_service; /* a service with a leaf of its own, or NULL */
    char *other_leaf;          /* the leaf of that one; likewise */
    http_reply roots_reply;    /* how; its body is `roots` if it has none */
    http_reply decision_reply; /* likewise; its body is a plain yes or no if it has none */
    bool allow;
    const char *const *denied; /* texts of questions that get a no all the same; NULL ends them */
    /* Its requests. */
    int questions;
    char last_question[2048];
    char last_leaf[256]; /* the target of the last request for one; a reset empties it */
} fake_agent;

/* Start it: it knows no roots, and says no. */
void fake_agent_start(fake_agent *agent);
void fake_agent_stop(fake_agent *agent);

/* Return to plain answers: these roots (`second` may be NULL), and a yes. */
void fake_agent_reset(fake_agent *agent, const char *trust_domain, const minted *first,
                      const minted *second);

/* Give it this leaf from now on, for any service, or none. It has none at first. */
void fake_agent_set_leaf(fake_agent *agent, const minted *leaf);
void fake_agent_take_leaf(fake_agent *agent);

/* Give it this leaf for this service. The name is a literal. */
void fake_agent_set_leaf_of(fake_agent *agent, const char *service, const minted *leaf);

#endif
