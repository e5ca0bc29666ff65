/* The agent of a store: its address, and whose program it has to be. Immutable; any thread. */
#ifndef CONSUL_AGENT_AGENT_H
#define CONSUL_AGENT_AGENT_H

#include "agent/address.h"

#include <sys/types.h>

typedef struct consul_agent consul_agent;

/* Borrows the settings, which must outlive the agent. Checks the address; makes no request. */
consul_agent *consul_agent_new(const consul_settings *settings, consul_error *err);
void consul_agent_free(consul_agent *agent);

struct consul_agent {
    const consul_settings *settings; /* borrowed */
    consul_address address;
    uid_t user; /* of agent_user, where that is set */
};

#endif
