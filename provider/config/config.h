/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of an instance. In provider init, in one thread. */
#ifndef PROV_CONFIG_CONFIG_H
#define PROV_CONFIG_CONFIG_H

#include "config/section.h"
#include "store.h"

/*
 * Return the settings from the section that activated this provider, or NULL. Makes no call that needs
 * OpenSSL's configuration, which is locked.
 */
consul_settings *prov_config_read(const prov_core *core, consul_error *err);

#endif
