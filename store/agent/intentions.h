/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unheeded intentions: their conditions are not part of the agent's verdict. Consul 1.14 takes a
 * service of a cluster peer for the local service of that name. Consul 1.16 leaves out whether a
 * client has the JWT that an intention demands. So a yes to a client that such an intention covers
 * is not the mesh's.
 *
 * Intentions are shared, immutable and reference-counted. Any thread.
 * https://developer.hashicorp.com/consul/api-docs/connect/intentions
 */
#ifndef CONSUL_AGENT_INTENTIONS_H
#define CONSUL_AGENT_INTENTIONS_H

#include "identity/spiffe.h"

/* The intentions of one service in the order of their evaluation, with an unheeded one at least. */
typedef struct consul_intentions consul_intentions;

/*
 * Decode the intentions of a service from an untrusted body. `*intentions` gets one reference. It
 * is NULL where the agent heeds all of them. Return 0 with an error for an invalid body.
 */
int consul_intentions_decode(const char *body, size_t len, consul_intentions **intentions,
                             consul_error *err);

/* Add a reference, and return the intentions. Drop a reference. NULL is allowed in both. */
consul_intentions *consul_intentions_ref(consul_intentions *intentions);
void consul_intentions_unref(consul_intentions *intentions);

/*
 * Return 1 where the agent's yes to this peer stands by these intentions. Return 0 with an error
 * otherwise. It stands where `intentions` is NULL.
 */
int consul_intentions_stand_for(const consul_intentions *intentions, const consul_spiffe_id *target,
                                const consul_spiffe_id *peer_id, consul_error *err);

#endif
