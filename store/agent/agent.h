/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent of a store: its address, the user that runs it, and the token of a login to it. An agent is immutable
 * once it is loaded, apart from that token. Any thread may use it. It stays valid in a forked child.
 */
#ifndef CONSUL_AGENT_AGENT_H
#define CONSUL_AGENT_AGENT_H

#include "agent/address.h"
#include "agent/shared_token.h"

#include <stdatomic.h>
#include <sys/types.h>

typedef struct consul_agent consul_agent;

/*
 * Return an agent for consul_agent_free. It borrows the settings, which must outlive it. Return
 * NULL with an error for an invalid address or user. No request is made.
 */
consul_agent *consul_agent_new(const consul_settings *settings, consul_error *err);

/*
 * Return an agent like consul_agent_new, but not yet loaded. The libraries for requests cost more than the start
 * of a small program. Return NULL with an error without memory.
 */
consul_agent *consul_agent_new_unloaded(const consul_settings *settings, consul_error *err);

/*
 * Load the libraries for requests, and read the address and the user. Return 0 with an error where a part fails.
 * Likewise in a host whose processes share libcrypto's memory. A loaded agent costs no more than a look. Any thread.
 */
int consul_agent_load(consul_agent *agent, consul_error *err);

/* Return true where no setting can make consul_agent_load fail. */
bool consul_agent_loads_surely(const consul_settings *settings);

/* Free the agent. NULL is allowed. */
void consul_agent_free(consul_agent *agent);

struct consul_agent {
    const consul_settings *settings; /* borrowed */
    atomic_bool is_loaded;           /* true where the fields below are filled in */
    consul_address address;
    uid_t user; /* the user of the setting agent_user, where it is set */
    consul_shared_token
        *login; /* NULL without the setting login_method; there from the beginning on */
};

#endif
