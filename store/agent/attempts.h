/*
 * The addresses at which an exchange has tried to reach the agent. libcurl tells the error of the last one
 * only. Plain data, of one thread at a time.
 */
#ifndef CONSUL_AGENT_ATTEMPTS_H
#define CONSUL_AGENT_ATTEMPTS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#define CONSUL_ATTEMPTS_MAX 8 /* addresses; an agent with more is never taken for lost */

typedef struct consul_attempts {
    size_t count; /* also of those beyond the limit */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addresses[CONSUL_ATTEMPTS_MAX]; /* of TCP; others are all zeros */
} consul_attempts;

/* Add an address that a connection is about to be made to. */
void consul_attempts_add(consul_attempts *attempts, const struct sockaddr *address, size_t len);

/*
 * Return true where no program listens at any of them, or no way leads there. `error` is the errno of the
 * last attempt. A want of this host is another reason, as any local user can bring it about. Of several
 * addresses each is tried once more, without a wait.
 */
bool consul_attempts_found_nobody(const consul_attempts *attempts, long error);

#endif
