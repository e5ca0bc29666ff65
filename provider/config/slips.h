/* SPDX-License-Identifier: Apache-2.0 */
/* Misspelt settings, in whatever file. Any thread. */
#ifndef PROV_CONFIG_SLIPS_H
#define PROV_CONFIG_SLIPS_H

#include "config/section.h"
#include "store.h"

#include <stdbool.h>

/*
 * Refuse a section with the name of a setting that has one slip in it. The core compares each such name with each row. So in
 * `brief` only the settings count that decide about TLS.
 */
int prov_config_check_slips(const prov_core *core, bool brief, consul_error *err);

#endif
