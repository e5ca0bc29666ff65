/* SPDX-License-Identifier: Apache-2.0 */
/* The last questions of a handshake, which can be answered by no. In the thread that drives the SSL. */
#ifndef PROV_TLS_GUARD_H
#define PROV_TLS_GUARD_H

#include "endpoint/endpoint.h"

/* SSL_state_string(3), of a server */
#define READS_CLIENT_HELLO "TRCH"
#define SENT_SERVER_HELLO "TWSH"

/*
 * Have libssl ask us before it accepts that the peer has the key of its certificate. An application may have
 * displaced the security callback. A no to this question ends the handshake, before the last message. No
 * application takes that back, and OpenSSL's own QUIC obeys it. A governed client is asked about its cipher, too. A server
 * that has not begun its message with the certificate has to have that noted: see prov_tls_shows_another. Repeated calls are cheap.
 */
void prov_tls_guard(endpoint *e, SSL *ssl);

/* Return true while libssl makes the message with the certificate of this end. From 3.2 on it may be a compressed one. */
bool prov_tls_sends_certificate(const SSL *ssl);

/*
 * Note the certificate that a server is about to show, as its client is judged for this service. Return true, and stop the
 * connection, if a governed server has been about to show another one.
 */
bool prov_tls_shows_another(endpoint *e, SSL *ssl, X509 *cert);

/*
 * Return true, and stop the connection, if a client is about to show its leaf to an unverified server. It may have been given
 * the leaf just now. Or the live leaf was put there for the server of another handshake.
 */
bool prov_tls_shows_leaf_too_early(endpoint *e, SSL *ssl, const X509 *cert);

/* Return true if this cipher has its peers authenticate by certificates. */
bool prov_tls_authenticates(const SSL_CIPHER *cipher);

#endif
