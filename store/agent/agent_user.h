/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user whose program is at the other end of a connection, as the kernel knows it. The first
 * program that binds a port of 127.0.0.1 owns it. So any local user can be the agent while the
 * agent is down. The check comes before the token is sent. Pure functions, for any thread. They ask
 * the kernel and the user database only.
 */
#ifndef CONSUL_AGENT_AGENT_USER_H
#define CONSUL_AGENT_AGENT_USER_H

#include "base/error.h"
#include <stdbool.h>
#include <sys/types.h>

/* Both ends of a connection. The addresses and ports are for TCP, and borrowed. */
typedef struct consul_connection {
    bool is_unix;
    int fd;
    const char *agent_ip, *own_ip;
    int agent_port, own_port;
} consul_connection;

/*
 * Parse the value of agent_user. Return 0 with an error where no user of this host has that name.
 */
int consul_agent_user_parse(const char *text, uid_t *uid, consul_error *err);

/*
 * Return 1 where the user at the agent's end is `wanted_uid`. Return 0 with an error otherwise, and
 * where the kernel does not know. `wanted` is the setting, for the error text.
 */
int consul_agent_user_check(const consul_connection *connection, const char *wanted,
                            uid_t wanted_uid, consul_error *err);

#endif
