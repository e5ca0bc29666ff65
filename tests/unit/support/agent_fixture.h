/* SPDX-License-Identifier: Apache-2.0 */
/* An agent that answers as it is told, and our client of it, for tests of agent.c. */
#ifndef CONSUL_TEST_AGENT_FIXTURE_H
#define CONSUL_TEST_AGENT_FIXTURE_H

#include "agent/request.h"
#include "http_server.h"

#define PATH "/v1/agent/test"

typedef struct agent_fixture {
    http_server *server;
    http_reply reply;  /* the next answer; set between requests */
    http_request seen; /* the last request */
    char folder[64];   /* an empty folder */
    char address[256]; /* of the server, in the settings */
    consul_settings settings;
} agent_fixture;

/* Handle a request as the fixture's server does, with the fixture as `arg`. For more servers. */
void agent_handle(const http_request *request, http_reply *reply, void *arg);

/* Set up an agent_fixture as *state, and tear it down. For cmocka. */
int agent_set_up(void **state);
int agent_tear_down(void **state);

/* Make an agent on these settings, which must outlive it. Wrong settings fail the test. */
consul_agent *agent_make(const consul_settings *settings);

/* Make a request on the fixture's settings; or just ask for PATH, and throw away the answer. */
int agent_ask(agent_fixture *f, const consul_request *request, consul_answer *answer,
              consul_error *err);
int agent_ask_plainly(agent_fixture *f, consul_error *err);

#endif
