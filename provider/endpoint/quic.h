/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's own QUIC, which is of 3.2 and later, and its servers of 3.5. libssl holds the lock of a connection
 * while it calls us. SSL_set_options, SSL_get_options and SSL_shutdown wait for that lock, and must not be
 * called. In the thread that drives the SSL.
 */
#ifndef PROV_ENDPOINT_QUIC_H
#define PROV_ENDPOINT_QUIC_H

#include "endpoint/endpoint.h"

/* Return true for a connection of OpenSSL's own QUIC. */
bool endpoint_is_quic(const SSL *ssl);

typedef int endpoint_security_fn(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid,
                                 void *other, void *ex);

/* Put our callback in front of the SSL's security callback. Repeated calls are cheap. */
void endpoint_displace_security(endpoint *e, SSL *ssl, endpoint_security_fn *ours);

/* Return the callback that ours was put in front of; NULL for none. */
endpoint_security_fn *endpoint_next_security(const endpoint *e);

#endif
