/* Whose program is at the other end of a connection? */
#ifndef CONSUL_AGENT_AGENT_USER_H
#define CONSUL_AGENT_AGENT_USER_H

#include "base/error.h"
#include <stdbool.h>
#include <sys/types.h>

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

#endif
