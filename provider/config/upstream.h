/* The rows of the table `upstreams`. Any thread. */
#ifndef PROV_CONFIG_UPSTREAM_H
#define PROV_CONFIG_UPSTREAM_H

#include "config/section.h"
#include "store.h"

/* Can a host be asked for by this row? */
int prov_upstream_check(const char *row, consul_error *err);

/* What this instance's table says of a host name; borrowed, as prov_config_row. */
const char *prov_upstream_find(const prov_core *core, const char *host);

#endif
