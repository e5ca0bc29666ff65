/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The active instances of this process, and the one that governs its TLS. Any thread. A fork waits for
 * the lock, which is held for a few instructions.
 */
#ifndef PROV_INSTANCE_INSTANCES_H
#define PROV_INSTANCE_INSTANCES_H

#include "instance/instance.h"

#define PROV_INSTANCES_MAX 64

/*
 * Add an instance; 0 where there are too many. Several instances with a service are one that was loaded
 * several times. Where they differ this one becomes unusable, and all TLS is refused. `fault` is the fault of
 * an unusable one. Other threads may make the instance unusable after this call.
 */
int prov_instances_add(prov_instance *prov, consul_error *fault);
void prov_instances_remove(prov_instance *prov);
bool prov_instances_any(void); /* is there one now? */

/*
 * Look for misspelt settings where provider init has left them (names_left), and make such an instance unusable. Before
 * anything else is asked of an instance. A program that does nothing with the provider does not pay for it. Later
 * calls read one number.
 */
void prov_instances_check(void);

/* Return a number that is another one as soon as an instance has come or gone. It is never 0. */
unsigned prov_instances_generation(void);

/*
 * Return the store of the instance that governs this process's TLS, with a reference for the caller. An
 * instance with a service governs before others, and of these the first one loaded. NULL without an
 * active instance (`why` is NOT_ACTIVE), or with an unusable one (`why` is the reason). An unusable
 * instance counts after its unload, too, unless a service is active. Its demands are not known. Any thread.
 */
consul_store *prov_active_store(consul_error *why);

/* Return true if an instance was ever loaded that requires Connect inbound, or outbound. */
bool prov_was_required(bool inbound);

/*
 * Return true if an instance was ever loaded whose service has `outbound = auto`. Return true if a host name asks for a
 * service in the domains of such a one.
 */
bool prov_was_auto(void);
bool prov_was_service(const char *host, consul_service *service);

/* Return true if a host name asks for a service in the domains of an instance. */
bool prov_is_service(const char *host, consul_service *service);

/*
 * Return true if a table `upstreams` maps this host name to a service. Where two instances differ, the
 * service has no name, and no peer is it.
 */
bool prov_upstream(const char *host, consul_service *service);

#endif
