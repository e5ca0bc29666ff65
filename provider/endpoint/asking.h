/* How long a handshake waits for the agent. In the thread that drives the SSL. */
#ifndef PROV_ENDPOINT_ASKING_H
#define PROV_ENDPOINT_ASKING_H

#include "endpoint/endpoint.h"

/*
 * Before and after anything that may wait for the agent: a handshake waits for it authorize_timeout
 * in all, and asks nothing twice within a second. The endpoint has a store.
 */
consul_asking endpoint_begin_asking(endpoint *e);
void endpoint_end_asking(endpoint *e, const consul_asking *asking);

#endif
