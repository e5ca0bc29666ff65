/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include "config/check.h"
#include "config/slips.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#define OPTIONS_MAX 64

typedef struct configured {
    OSSL_PARAM params[OPTIONS_MAX + 1];
    char *values[OPTIONS_MAX];
} configured;

static const char *lookup(const char *name, void *arg)
{
    configured *config = arg;
    const OSSL_PARAM *param = OSSL_PARAM_locate_const(config->params, name);

    return param == NULL || !OSSL_PARAM_modified(param) ? NULL : *(char **)param->data;
}

consul_settings *prov_config_read(const prov_core *core, bool *names_left, consul_error *err)
{
    configured config = {0};
    const consul_option *option;
    consul_settings *settings;
    char *name = NULL, place[PROV_PLACE_MAX] = "";
    OSSL_PARAM about[] = {
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_CORE_PROV_NAME, OSSL_PARAM_UTF8_PTR, &name, 0),
        OSSL_PARAM_END,
    };
    size_t i = 0;
    bool is_bare;

    for (option = consul_options; option->name != NULL && i < OPTIONS_MAX; option++, i++)
        config.params[i] = OSSL_PARAM_construct_utf8_ptr(option->name, &config.values[i], 0);
    config.params[i] = OSSL_PARAM_construct_end();
    if (option->name != NULL || !core->get_params(core->handle, about)
        || !core->get_params(core->handle, config.params)) {
        consul_error_set(err, CONSUL_R_INTERNAL, "OpenSSL did not hand over the configuration");
        return NULL;
    }
    if (name != NULL && !prov_config_check(name, core, place, err))
        return NULL;
    /*
     * The section may be of another file, and a library context of the program's own often has one. OpenSSL's default
     * context mostly has the default file, in each process. A program that loads the provider by itself mostly has no section.
     * Both are looked at when they are used, as most programs do no TLS.
     */
    is_bare =
        prov_section_value(core, "activate") == NULL && prov_section_value(core, "module") == NULL;
    *names_left = is_bare || (*place != '\0' && core->libctx == OSSL_LIB_CTX_get0_global_default());
    if (!*names_left && !prov_config_check_slips(core, false, err))
        return NULL;
    settings = consul_settings_new(lookup, &config, err);
    if (settings == NULL)
        consul_error_prefix(err, "%s", place);
    return settings;
}
