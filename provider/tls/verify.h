/* SPDX-License-Identifier: Apache-2.0 */
/* The verification of a peer. In the thread that drives the SSL. */
#ifndef PROV_TLS_VERIFY_H
#define PROV_TLS_VERIFY_H

#include "endpoint/endpoint.h"

/* Verify a peer in place of libssl, as SSL_CTX_set_cert_verify_callback. Returns 1 if it has passed. */
int prov_verify_peer(X509_STORE_CTX *ctx, void *arg);

/*
 * Verify a peer that the application has verified in the place of libssl. `theirs` is the context of that, which is
 * being freed: its parameters are gone. The application's verdict is given, and libssl obeys it, too. So a refused
 * certificate gets a key by which no peer signs. The certificate may be the reason for a client to be governed.
 */
void prov_verify_displaced(endpoint *e, SSL *ssl, X509_STORE_CTX *theirs);

#endif
