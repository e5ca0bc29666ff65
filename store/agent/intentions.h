/* The intentions by which the agent says yes and the mesh does not. Any thread. */
#ifndef CONSUL_AGENT_INTENTIONS_H
#define CONSUL_AGENT_INTENTIONS_H

#include "identity/spiffe.h"

typedef struct consul_intentions consul_intentions; /* shared, immutable, reference-counted */

/* Those of a service, from an untrusted body; NULL where the agent heeds whatever is said in them. */
int consul_intentions_decode(const char *body, size_t len, consul_intentions **intentions,
                             consul_error *err);
consul_intentions *consul_intentions_ref(consul_intentions *intentions); /* NULL stays NULL */
void consul_intentions_unref(consul_intentions *intentions);

/* Does the agent's yes to this peer stand, by these (NULL for none)? Else `err` says why not. */
int consul_intentions_stand_for(const consul_intentions *intentions, const consul_spiffe_id *target,
                                const consul_spiffe_id *peer_id, consul_error *err);

#endif
