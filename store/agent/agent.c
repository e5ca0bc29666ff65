/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include "agent/agent_user.h"
#include "agent/libraries.h"

#include <openssl/crypto.h>

consul_agent *consul_agent_new(const consul_settings *settings, consul_error *err)
{
    consul_agent *agent = OPENSSL_zalloc(sizeof(*agent));

    if (agent == NULL) {
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the agent");
        return NULL;
    }
    agent->settings = settings;
    if (!consul_libraries_load(err) || !consul_address_parse(settings, &agent->address, err)
        || (settings->agent_user != NULL
            && !consul_agent_user_parse(settings->agent_user, &agent->user, err))) {
        consul_agent_free(agent);
        return NULL;
    }
    return agent;
}

void consul_agent_free(consul_agent *agent)
{
    if (agent == NULL)
        return;
    consul_address_clear(&agent->address);
    OPENSSL_free(agent);
}
