/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Half a stand-in: its certificate beside an ordinary key, or its key beside an ordinary certificate. Where the
 * keys have one type, the program does not load such a pair. Otherwise it starts, and has no certificate to
 * present. Each handshake fails then, and OpenSSL's reason does not name the cause.
 *
 * OpenSSL does not show our key where an ordinary certificate of another type was given after it. So nothing is
 * reported then.
 *
 * Costs nothing in a handshake that does not fail. Any thread.
 */
#ifndef PROV_TLS_HALF_H
#define PROV_TLS_HALF_H

#include <openssl/ssl.h>

/* Register with OpenSSL; 0 on failure. Safe in provider init. */
int prov_tls_half_init(void);

/* Note a certificate that an SSL_CTX is given. */
void prov_tls_half_note(const SSL_CTX *ctx, const X509 *cert);

/* Report half a stand-in as the cause of a fatal alert. Does nothing for an SSL with a whole pair. */
void prov_tls_half_report(SSL *ssl);

#endif
