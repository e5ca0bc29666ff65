/* SPDX-License-Identifier: Apache-2.0 */
/* Settings that would be without effect in OpenSSL's default file. In provider init. */
#ifndef PROV_CONFIG_CHECK_H
#define PROV_CONFIG_CHECK_H

#include "config/section.h"
#include "store.h"

#define PROV_PLACE_MAX 512

/*
 * Refuse what would be without effect in OpenSSL's default file, where that one has the sections of
 * this provider. Then `place` is how errors begin. It is empty where no such section has the values that the core hands
 * over: these come from another file. The command has no core, and takes the first section.
 */
int prov_config_check(const char *provider, const prov_core *core, char place[PROV_PLACE_MAX],
                      consul_error *err);

#endif
