/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of an instance. In provider init, in one thread. */
#ifndef PROV_CONFIG_CONFIG_H
#define PROV_CONFIG_CONFIG_H

#include "config/section.h"
#include "store.h"

#include <stdbool.h>

/*
 * Return the settings from the section that activated this provider, or NULL. Makes no call that needs
 * OpenSSL's configuration, which is locked. `names_left` is true afterwards where prov_config_check_slips
 * has to look at the names of the section, before the process begins TLS.
 */
consul_settings *prov_config_read(const prov_core *core, bool *names_left, consul_error *err);

#endif
