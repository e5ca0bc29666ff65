/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arming: how a governed connection is set up, at every turn of its handshake, up to the last stop. In
 * the thread that drives the SSL.
 */
#ifndef PROV_TLS_GOVERN_H
#define PROV_TLS_GOVERN_H

#include "endpoint/endpoint.h"

/*
 * SSL_OP_NO_TX_CERTIFICATE_COMPRESSION of OpenSSL 3.2, also for a module that was built with an older one.
 * A certificate that was compressed beforehand is sent without a call of the security callback. It may
 * be an earlier leaf. Older releases ignore the bit.
 */
#define PROV_NO_TX_CERTIFICATE_COMPRESSION ((uint64_t)1 << 32)

/*
 * Find the rule of this connection. Set up a governed one to demand and verify the
 * peer, at each call anew. The application may have changed its settings since. Repeated calls are cheap. Returns NULL for
 * libcurl's own TLS to the agent, and for a connection that was stopped for lack of memory.
 */
endpoint *prov_tls_arm(SSL *ssl);

/*
 * Do the same, and look at all certificates, not at the current one alone. Called after a server's choice among them, and at
 * the end.
 */
endpoint *prov_tls_arm_anew(SSL *ssl);

/* Set up the last stop also for an endpoint that is left alone so far. Repeated calls are cheap. */
void prov_tls_watch_end(endpoint *e, SSL *ssl);

/*
 * Be the last stop, as the info callback of an SSL. The first call for an SSL sets this up for all further ones, and calls
 * the application's.
 */
void prov_tls_on_info(const SSL *s, int where, int value);

/* Return true if the SSL is in the state of that name, SSL_state_string(3). */
bool prov_tls_is_in_state(const SSL *ssl, const char *name);

/* Return true for a governed endpoint; false for NULL. */
bool prov_tls_is_governed(const endpoint *e);

/* Stop the SSL unless its peer was authorized. The peer has finished the handshake, or both have. */
void prov_tls_finish(endpoint *e, SSL *ssl);

/*
 * Keep data from a stopped connection, and from a connection that may not write yet. libssl has read a record of data, or is
 * to write it.
 */
void prov_tls_notice_data(SSL *ssl, bool is_written);

#endif
