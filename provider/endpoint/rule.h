/* SPDX-License-Identifier: Apache-2.0 */
/* The rule of a connection. In the thread that drives the SSL. */
#ifndef PROV_ENDPOINT_RULE_H
#define PROV_ENDPOINT_RULE_H

#include "endpoint/endpoint.h"

/* Bring its rule up to date with the SSL's state, certificates and host name. */
enum endpoint_rule endpoint_judge(endpoint *e, SSL *ssl);

/*
 * Look again at the host names that a client asks for. Return true if they name a Consul service, or did before in this
 * handshake.
 */
bool endpoint_names_service(endpoint *e, SSL *ssl);

#endif
