/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services named by host names of Consul's DNS interface. Pure functions, for any thread.
 * https://developer.hashicorp.com/consul/docs/services/discovery/dns-static-lookups
 */
#ifndef CONSUL_IDENTITY_DNS_NAME_H
#define CONSUL_IDENTITY_DNS_NAME_H

#include "identity/uri.h"

enum consul_host_kind {
    CONSUL_HOST_OTHER,     /* not the name of a service in Consul's domain */
    CONSUL_HOST_MALFORMED, /* a name of that form, without a valid service or scope */
    CONSUL_HOST_SERVICE
};

/*
 * Find the service that a host name of Consul's DNS means, and return the kind of the name. Such a
 * name is <service>.service, .connect or .virtual in one of `domains`, a list as of the setting
 * `domain`. Tags may stand before it. A datacenter, a namespace and a datacenter, or ns, ap and dc
 * may stand after it. `*service` is empty unless the kind is CONSUL_HOST_SERVICE.
 */
enum consul_host_kind consul_host_parse(const char *host, const char *domains,
                                        consul_service *service);

#endif
