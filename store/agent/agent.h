/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent of a store: its address, and the user that runs it. An agent is immutable after
 * consul_agent_new, so that any thread may use it. It stays valid in a forked child.
 */
#ifndef CONSUL_AGENT_AGENT_H
#define CONSUL_AGENT_AGENT_H

#include "agent/address.h"

#include <sys/types.h>

typedef struct consul_agent consul_agent;

/*
 * Return an agent for consul_agent_free. It borrows the settings, which must outlive it. Return
 * NULL with an error for an invalid address or user. No request is made.
 */
consul_agent *consul_agent_new(const consul_settings *settings, consul_error *err);

/* Free the agent. NULL is allowed. */
void consul_agent_free(consul_agent *agent);

struct consul_agent {
    const consul_settings *settings; /* borrowed */
    consul_address address;
    uid_t user; /* the user of the setting agent_user, where it is set */
};

#endif
