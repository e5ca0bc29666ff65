/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the table `upstreams`. Any thread. */
#ifndef PROV_CONFIG_UPSTREAM_H
#define PROV_CONFIG_UPSTREAM_H

#include "config/section.h"
#include "store.h"

/* Check that a host can be asked for by this row; 0 otherwise. */
int prov_upstream_check(const char *row, consul_error *err);

/* Return the service that the table gives to a host, or NULL; borrowed, as prov_section_row. */
const char *prov_upstream_find(const prov_core *core, const char *host);

#endif
