/* SPDX-License-Identifier: Apache-2.0 */
/* The security callback of the application, which ours displaces. In the thread that drives the SSL. */
#ifndef PROV_ENDPOINT_SECURITY_H
#define PROV_ENDPOINT_SECURITY_H

#include "endpoint/endpoint.h"

typedef int endpoint_security_fn(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid,
                                 void *other, void *ex);

/* Name the callback of ours that every SSL_CTX has at first. Repeated calls have the same one. */
void endpoint_set_usual_security(endpoint_security_fn *usual);

/* Put our callback in front of the SSL's own, unless it is the usual one. Repeated calls are cheap. */
void endpoint_displace_security(endpoint *e, SSL *ssl, endpoint_security_fn *ours);

/*
 * Return the answer of the callback that was displaced. It may be made of ours, and call it in its turn.
 * The usual one answers then.
 */
int endpoint_ask_security(endpoint *e, const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid,
                          void *other, void *ex);

#endif
