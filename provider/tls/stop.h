/* SPDX-License-Identifier: Apache-2.0 */
/* Stopping a connection, in the thread that drives it. */
#ifndef PROV_TLS_STOP_H
#define PROV_TLS_STOP_H

#include "endpoint/endpoint.h"

/* The verify mode of a governed server. For a client the second flag means nothing: a server has a certificate. */
#define PROV_SERVER_VERIFY_MODE (SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT)

/*
 * The verify mode of a governed client. The further flags mean nothing for a client. No application sets them all, so
 * that another mode is known to be the application's.
 */
#define PROV_CLIENT_VERIFY_MODE \
    (PROV_SERVER_VERIFY_MODE | SSL_VERIFY_CLIENT_ONCE | SSL_VERIFY_POST_HANDSHAKE)

/*
 * Let nothing more be read from or written to this connection, and say why, once a handshake. Sends no
 * alert: a handshake that is not over goes on, and fails where it can.
 *
 * OpenSSL's own QUIC has no such stop. Before OpenSSL 4 an error on the queue ends a step of its handshake that waits for
 * the peer. So each call leaves one there. A no of the security callback ends the handshake in each release.
 */
void prov_tls_stop(SSL *ssl, const char *why);

/*
 * Stop it if the peer shows the key of a certificate that was not authorized, and return true. An
 * application has displaced our verification then.
 */
bool prov_tls_stop_unverified(SSL *ssl);

/* Write the fatal alert that ends a connection to the log, unless its cause was reported. */
void prov_tls_log_alert(endpoint *e, const SSL *ssl, bool sent, int alert);

/*
 * Note that this thread sends an alert; and write the noted alert to the log, unless its cause was reported. libssl
 * tells of an alert of QUIC with an inner SSL, which has another endpoint. The failure itself comes next.
 */
void prov_tls_note_alert(int alert);
void prov_tls_log_noted_alert(endpoint *e, const SSL *ssl);

#endif
