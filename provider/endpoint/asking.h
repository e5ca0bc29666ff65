/* SPDX-License-Identifier: Apache-2.0 */
/* How long a handshake waits for the agent. In the thread that drives the SSL. */
#ifndef PROV_ENDPOINT_ASKING_H
#define PROV_ENDPOINT_ASKING_H

#include "endpoint/endpoint.h"

/*
 * Begin and end a request that may wait for the agent. A handshake waits for authorize_timeout in all. It
 * asks for the same thing once a second at most. The endpoint has a store.
 */
consul_asking endpoint_begin_asking(endpoint *e);
void endpoint_end_asking(endpoint *e, const consul_asking *asking);

/* Have the agent asked for the roots while a server makes its messages. Nothing happens after another request, or without a store. */
void endpoint_ask_for_roots_ahead(endpoint *e);

#endif
