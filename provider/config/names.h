/* SPDX-License-Identifier: Apache-2.0 */
/* The names of rows in a section of the provider, and beside it. In provider init. */
#ifndef PROV_CONFIG_NAMES_H
#define PROV_CONFIG_NAMES_H

#include "store.h"

#include <stdbool.h>

/* Return true for a word that OpenSSL itself understands in a provider's section, config(5). */
bool config_name_is_openssls(const char *name);

/* Return the setting of that name, or NULL. */
const consul_option *config_name_option(const char *name);

/* Return the name that was probably meant, or NULL. */
const char *config_name_nearest(const char *name);

/* The settings that decide what is governed. */
#define CONFIG_DECIDING 4
extern const char *const config_deciding[CONFIG_DECIDING];

/* Return true for one of these. Other names may be another program's variables. */
bool config_name_is_deciding(const char *name);

/* Return true for the name of a provider of OpenSSL's own. */
bool config_name_is_builtin(const char *provider);

/* Return true where a row of the section `openssl_conf` is for this module of OpenSSL. */
bool config_name_is_for(const char *row, const char *module);

#endif
