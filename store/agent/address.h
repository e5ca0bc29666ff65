/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's address, in every form that Consul's own tools take (CONSUL_HTTP_ADDR). The caller
 * owns the result. Any thread; no function makes a request.
 */
#ifndef CONSUL_AGENT_ADDRESS_H
#define CONSUL_AGENT_ADDRESS_H

#include "base/settings.h"

typedef struct consul_address {
    bool https;
    char *base;        /* scheme://host:port/prefix, without a slash at the end */
    char *socket_path; /* the path of a unix:// address, else NULL */
    char *connect_to;  /* the real host and port where base has tls_server_name, else NULL */
} consul_address;

/*
 * Parse the settings address, tls and tls_server_name. Return 0 with an error for an invalid
 * address. The caller clears `*address` in both cases.
 */
int consul_address_parse(const consul_settings *settings, consul_address *address,
                         consul_error *err);

/*
 * Return true for an address that consul_address_parse certainly takes. Some others are right, too. No
 * library is needed.
 */
bool consul_address_is_plain(const char *address);

/* Free the texts of an address, and leave it empty. */
void consul_address_clear(consul_address *address);

#endif
