/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/agreement.h"

#include "config/names.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

static const char *provider_name(const prov_instance *prov)
{
    char *name = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_CORE_PROV_NAME, OSSL_PARAM_UTF8_PTR, &name, 0),
        OSSL_PARAM_END,
    };

    return prov->core.get_params(prov->core.handle, params) && name != NULL ? name : "consul";
}

int prov_agreement_check(const prov_instance *prov, const prov_instance *other, consul_error *err)
{
    const consul_option *option;

    for (option = consul_options; option->name != NULL; option++) {
        const char *value = prov_section_value(&prov->core, option->name);
        const char *others = prov_section_value(&other->core, option->name);
        bool shown = option->type != CONSUL_OPTION_SECRET;

        if (value == NULL ? others == NULL : others != NULL && strcmp(value, others) == 0)
            continue;
        value = value == NULL ? "(not set)" : shown ? value : "(secret)";
        others = others == NULL ? "(not set)" : shown ? others : "(another secret)";
        return consul_error_set(
            err, CONSUL_R_SETTING_INVALID,
            "two sections make this process a service, and differ: %s is %.200s "
            "for the provider \"%s\" and %.200s for \"%s\"; leave one, and give "
            "what is to be another service a stand-in",
            option->name, others, provider_name(other), value, provider_name(prov));
    }
    return 1;
}

/* Ask the core for all of them at once, as each question goes through the whole section. */
static void ask_deciding(const prov_core *core, char *values[CONFIG_DECIDING])
{
    OSSL_PARAM params[CONFIG_DECIDING + 1];
    size_t i;

    for (i = 0; i < CONFIG_DECIDING; i++) {
        values[i] = NULL;
        params[i] = OSSL_PARAM_construct_utf8_ptr(config_deciding[i], &values[i], 0);
    }
    params[i] = OSSL_PARAM_construct_end();
    if (!core->get_params(core->handle, params))
        memset(values, 0, CONFIG_DECIDING * sizeof(values[0]));
}

void prov_agreement_note_deciding(prov_instance *prov)
{
    ask_deciding(&prov->core, prov->deciding);
}

int prov_agreement_check_deciding(const prov_instance *prov, consul_error *err)
{
    char *values[CONFIG_DECIDING];
    size_t i;

    ask_deciding(&prov->core, values);
    for (i = 0; i < CONFIG_DECIDING; i++) {
        const char *value = values[i], *read = prov->deciding[i];

        if (value != NULL && (read == NULL || strcmp(value, read) != 0))
            return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                    "%s = %.200s was set when the provider \"%s\" was loaded "
                                    "already, and is without effect; set it in openssl.cnf",
                                    config_deciding[i], value, provider_name(prov));
    }
    return 1;
}
