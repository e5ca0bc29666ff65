/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses at which an exchange has tried to reach the agent. libcurl reports the error of the
 * last attempt only. Plain data, for one thread at a time.
 *
 * A process remembers the addresses that gave no connection where another of the same name did. It
 * passes over them for a minute, or until the other ones fail. So a dead address does not use up
 * the time of each request. Any thread may call these functions.
 */
#ifndef CONSUL_AGENT_ATTEMPTS_H
#define CONSUL_AGENT_ATTEMPTS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#define CONSUL_ATTEMPTS_MAX 8 /* addresses; an agent with more is never taken for lost */

typedef struct consul_attempts {
    size_t count; /* the number of attempts, also beyond the limit */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addresses[CONSUL_ATTEMPTS_MAX]; /* TCP addresses, and zeros for others */
} consul_attempts;

/* Add the address of a connection that begins. */
void consul_attempts_add(consul_attempts *attempts, const struct sockaddr *address, size_t len);

/*
 * Return true where each address has no route or no program that listens. `error` is the errno of
 * the last attempt. A lack of this host's resources does not count, as a local user could cause it.
 * Each of several addresses is tried once more, for some milliseconds at most.
 */
bool consul_attempts_found_nobody(const consul_attempts *attempts, long error);

/* Pass over the addresses of these attempts, except for the one that made a connection. */
void consul_attempts_pass_over_others(const consul_attempts *attempts, const char *connected);

/* Pass over no address any more. */
void consul_attempts_pass_over_none(void);

/* Return true for an address to pass over. */
bool consul_attempts_passes_over(const struct sockaddr *address, size_t len);

#endif
