/*
 * The active instances of this process, and which of them governs its TLS. Any thread; a fork waits
 * for the lock, which is held for a few instructions.
 */
#ifndef PROV_INSTANCE_INSTANCES_H
#define PROV_INSTANCE_INSTANCES_H

#include "instance/instance.h"

#define PROV_INSTANCES_MAX 64

/*
 * Add an instance; 0 where there are too many. Several instances with a service are one that was loaded
 * several times. Where they differ this one becomes unusable, and all TLS is refused.
 */
int prov_instances_add(prov_ctx *prov);
void prov_instances_remove(const prov_ctx *prov);

/*
 * The store that governs this process's TLS: that of the active instance that was loaded first, one
 * with a service before others; several with a service say the same, or all TLS is refused. The caller gets a reference. NULL when none is active (`why` is
 * NOT_ACTIVE), or when one could not be configured (`why` is the reason). Any thread.
 */
consul_store *prov_active_store(consul_error *why);

/* Has an instance been loaded whose service requires Connect of all that comes in, or goes out? */
bool prov_was_required(bool inbound);

/*
 * The service that the tables `upstreams` map this host name to, if any. It is nobody where
 * two instances do not agree.
 */
bool prov_upstream(const char *host, consul_service *service);

#endif
