/* SPDX-License-Identifier: Apache-2.0 */
/* The agent that an openssl.cnf and the environment name, and the service in question. One thread. */
#ifndef CLI_COMMON_AGENT_H
#define CLI_COMMON_AGENT_H

#include "agent/authorize.h"
#include "common/arguments.h"
#include "common/conf.h"
#include "store.h"

#define CLI_MATCH_PATH "/v1/connect/intentions/match"

typedef struct cli_agent {
    cli_conf conf;
    consul_store *store;
    consul_agent *agent;
    consul_scope scope; /* as the settings have it */
} cli_agent;

/* Read the settings by the options --config and --application. Close it in any case. */
int cli_agent_open(cli_agent *agent, const cli_arguments *arguments, consul_error *err);
void cli_agent_close(cli_agent *agent);

/* Make the store of these settings, which it takes, also where it fails. */
int cli_agent_use(cli_agent *agent, consul_settings *settings, consul_error *err);

/* Make a request; free the answer in any case. Each lasts for request_timeout at most. */
int cli_agent_ask(const cli_agent *agent, const consul_request *request, consul_answer *answer,
                  consul_error *err);

/* Ask whether a service of the mesh may connect to another; a "no" is written to `err`. */
enum consul_verdict cli_agent_verdict(const cli_agent *agent, const char *client,
                                      const consul_spiffe_id *target, consul_error *err);

/* Read the one operand of a command, a service with its scope, as in web?dc=dc2. */
int cli_service(const cli_arguments *arguments, consul_service *service, consul_error *err);

#endif
