/* SPDX-License-Identifier: Apache-2.0 */
/* Settings and hosts in sections that OpenSSL does not read for this provider. In provider init. */
#ifndef PROV_CONFIG_LOST_H
#define PROV_CONFIG_LOST_H

#include "config/file.h"
#include "store.h"

/*
 * Refuse a setting that makes a service, in whatever section, where this provider's section `ours` has none of its name.
 * Refuse hosts that no row names, and a misspelt .include. Returns 1, or 0 with the error.
 */
int config_lost_check(const config_file *file, const char *provider, const char *ours,
                      consul_error *err);

#endif
