/* SPDX-License-Identifier: Apache-2.0 */
/* Settings that would be without effect in OpenSSL's default file. In provider init. */
#ifndef PROV_CONFIG_CHECK_H
#define PROV_CONFIG_CHECK_H

#include "store.h"

#define PROV_PLACE_MAX 512

/*
 * Refuse what would be without effect in OpenSSL's default file, where that one has the sections of
 * this provider; then `place` is how errors begin.
 */
int prov_config_check(const char *provider, char place[PROV_PLACE_MAX], consul_error *err);

#endif
