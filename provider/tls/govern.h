/*
 * Arming: how a governed connection is set up, at every turn of its handshake, up to the last stop. In
 * the thread that drives the SSL.
 */
#ifndef PROV_TLS_GOVERN_H
#define PROV_TLS_GOVERN_H

#include "endpoint/endpoint.h"

/*
 * Find out what this connection has to do with Connect and, where it is governed, set it up (again)
 * to demand and verify the peer, whatever the application has set since. Called at every turn of
 * a handshake, so repeated calls are cheap. NULL where there is nothing to be governed: libcurl's
 * own TLS to the agent, and a connection that was stopped for lack of memory.
 */
endpoint *prov_tls_arm(SSL *ssl);

/* Is the SSL in the state of that name, SSL_state_string(3)? */
bool prov_tls_is_in_state(const SSL *ssl, const char *name);

bool prov_tls_is_governed(const endpoint *e);

/* The peer has finished the handshake, or both have: stop it, unless the peer was authorized. */
void prov_tls_finish(endpoint *e, SSL *ssl);

#endif
