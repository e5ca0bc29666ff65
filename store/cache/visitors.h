/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last visitors of a server, by their addresses: the question that each connection ended with. The next connection
 * from an address may end with the same question, and so the agent can be asked ahead.
 *
 * A guess has to be earned. An address gives one after two admitted connections with the same question, and one more
 * after each further such connection. So a stranger costs the agent one question at most.
 *
 * Any thread: the functions take the lock of base/lock.h. The child of a fork keeps the visitors.
 */
#ifndef CONSUL_CACHE_VISITORS_H
#define CONSUL_CACHE_VISITORS_H

#define CONSUL_VISITORS_KEPT 16 /* addresses */

typedef struct consul_visitors consul_visitors;

/* Return no visitors. Return NULL without memory, which the other functions allow. Free them. */
consul_visitors *consul_visitors_new(void);
void consul_visitors_free(consul_visitors *visitors);

/*
 * Note that the peer of a connection was admitted after the question with this body. `fd` is the connection's descriptor. All
 * connections without an address, as with -1, count as of one visitor.
 */
void consul_visitors_note(consul_visitors *visitors, int fd, const char *body);

/* Return the body of the question that this connection may end with, for free(). Return NULL without a guess. */
char *consul_visitors_guess(consul_visitors *visitors, int fd);

#endif
