/* SPDX-License-Identifier: Apache-2.0 */
#include "config/section.h"

#include <stdio.h>

#include <openssl/params.h>

const char *prov_section_value(const prov_core *core, const char *name)
{
    char *value = NULL;
    OSSL_PARAM params[2];

    params[0] = OSSL_PARAM_construct_utf8_ptr(name, &value, 0);
    params[1] = OSSL_PARAM_construct_end();
    return core->get_params(core->handle, params) ? value : NULL;
}

const char *prov_section_row(const prov_core *core, const char *table, const char *row)
{
    char name[512];

    if ((size_t)snprintf(name, sizeof(name), "%s.%s", table, row) >= sizeof(name))
        return NULL;
    return prov_section_value(core, name);
}
