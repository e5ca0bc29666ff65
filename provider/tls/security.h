/* SPDX-License-Identifier: Apache-2.0 */
/* The security callback of libssl, by which a handshake can be refused. In the thread that drives the SSL. */
#ifndef PROV_TLS_SECURITY_H
#define PROV_TLS_SECURITY_H

#include "endpoint/endpoint.h"

/* Put our security callback in front of that of a context. */
void prov_tls_secure(SSL_CTX *ctx);

/* Return true if ours is still the security callback of this SSL. */
bool prov_tls_is_secured(const SSL *ssl);

/*
 * Set up the last stop of a server that is left alone so far. It may be given its leaf in a later callback, or switch
 * to an SSL_CTX that has one. A no-op where it has a certificate, and our callbacks are left that would see the leaf.
 */
void prov_tls_expect_leaf(endpoint *e, SSL *ssl);

#endif
