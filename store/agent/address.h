/* Where the agent listens. */
#ifndef CONSUL_AGENT_ADDRESS_H
#define CONSUL_AGENT_ADDRESS_H

#include "base/settings.h"

typedef struct consul_address {
    bool https;
    char *base;        /* scheme://host:port/prefix, no slash at the end */
    char *socket_path; /* of a unix:// address, else NULL */
    char *connect_to;  /* where tls_server_name stands in the URL instead, else NULL */
} consul_address;

/* Parse the settings' address, with its tls and tls_server_name. Clear it also after an error. */
int consul_address_parse(const consul_settings *settings, consul_address *address,
                         consul_error *err);
void consul_address_clear(consul_address *address);

#endif
