/*
 * Services named by host names of Consul's DNS interface,
 * https://developer.hashicorp.com/consul/docs/services/discovery/dns-static-lookups
 */
#ifndef CONSUL_IDENTITY_DNS_NAME_H
#define CONSUL_IDENTITY_DNS_NAME_H

#include "identity/uri.h"

enum consul_host_kind {
    CONSUL_HOST_OTHER,     /* not the name of a service in Consul's domain */
    CONSUL_HOST_MALFORMED, /* such a name, but of which service is not to be told */
    CONSUL_HOST_SERVICE
};

/*
 * Which service does a host name of Consul's DNS mean? <service>.service, .connect or .virtual,
 * with tags before and a datacenter or ns, ap and dc after, in `domain` ("consul").
 */
enum consul_host_kind consul_host_parse(const char *host, const char *domain,
                                        consul_service *service);

#endif
