#include "provider.h"

#include <stdio.h>
#include <string.h>

#include <openssl/conf.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
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

static const consul_option *find_option(const char *name)
{
    const consul_option *option;

    for (option = consul_options; option->name != NULL; option++) {
        if (strcmp(option->name, name) == 0)
            return option;
    }
    return NULL;
}

/* The words that OpenSSL itself understands in a provider's section, config(5). */
static bool is_openssl_word(const char *name)
{
    return strcmp(name, "module") == 0 || strcmp(name, "activate") == 0
           || strcmp(name, "identity") == 0 || strcmp(name, "soft_load") == 0;
}

static int check_table(const CONF *conf, const char *section, consul_error *err)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(conf, section);
    consul_service service;
    int i;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);
        const char *p = row->name;

        for (; *p != '\0' && (*p < 'A' || *p > 'Z'); p++)
            ;
        if (*p != '\0' || (p > row->name && p[-1] == '.'))
            return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                    "[%s] %s: host names are in lower case here, and end without "
                                    "a dot",
                                    section, row->name);
        if (!consul_service_parse(row->value, &service, err))
            return consul_error_prefix(err, "[%s] %s = ", section, row->name);
    }
    return 1;
}

/*
 * OpenSSL hands us only what we ask for by name, so a misspelt setting would be as good as none.
 * And a value that is also the name of a section becomes that section's contents.
 */
static int check_section(const CONF *conf, const char *section, consul_error *err)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(conf, section);
    int i;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);
        const consul_option *option;

        if (is_openssl_word(row->name))
            continue;
        option = find_option(row->name);
        if (option == NULL)
            return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                    "[%s] %s: there is no such setting", section, row->name);
        if (option->type == CONSUL_OPTION_TABLE) {
            if (!check_table(conf, row->value, err))
                return 0;
            continue;
        }
        if (NCONF_get_section(conf, row->value) != NULL) {
            const char *shown = option->type == CONSUL_OPTION_SECRET ? "(secret)" : row->value;

            return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                    "[%s] %s = %s: OpenSSL takes the value for the section [%s] "
                                    "of the same file; rename that section",
                                    section, row->name, shown, shown);
        }
    }
    return 1;
}

/* The section of the provider that goes by `name`, as provider_conf.c of OpenSSL finds it. */
static const char *find_section(const CONF *conf, const char *name)
{
    const char *init = NCONF_get_string(conf, NULL, "openssl_conf");
    const char *providers = init == NULL ? NULL : NCONF_get_string(conf, init, "providers");
    STACK_OF(CONF_VALUE) *rows = providers == NULL ? NULL : NCONF_get_section(conf, providers);
    int i;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);
        const char *dot = strchr(row->name, '.');
        const char *identity = NCONF_get_string(conf, row->value, "identity");

        if (identity == NULL)
            identity = dot == NULL ? row->name : dot + 1;
        if (strcmp(identity, name) == 0)
            return row->value;
    }
    return NULL;
}

/*
 * Look into the file that activates us, where it is the default one: no interface of OpenSSL's
 * tells. An application that loads another file gets no check of its spelling.
 */
static int check_file(const char *name, consul_error *err)
{
    char *file = CONF_get1_default_config_file();
    CONF *conf = NCONF_new(NULL);
    const char *section;
    long line;
    int ok = 1;

    ERR_set_mark();
    if (file != NULL && conf != NULL && NCONF_load(conf, file, &line) > 0
        && (section = find_section(conf, name)) != NULL && !check_section(conf, section, err)) {
        consul_error_prefix(err, "%s: ", file);
        ok = 0;
    }
    ERR_pop_to_mark();
    NCONF_free(conf);
    OPENSSL_free(file);
    return ok;
}

consul_settings *prov_config_read(const prov_ctx *prov, consul_error *err)
{
    configured config = {0};
    const consul_option *option;
    char *name = NULL;
    OSSL_PARAM about[] = {
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_CORE_PROV_NAME, OSSL_PARAM_UTF8_PTR, &name, 0),
        OSSL_PARAM_END,
    };
    size_t i = 0;

    for (option = consul_options; option->name != NULL && i < OPTIONS_MAX; option++, i++)
        config.params[i] = OSSL_PARAM_construct_utf8_ptr(option->name, &config.values[i], 0);
    config.params[i] = OSSL_PARAM_construct_end();
    if (option->name != NULL || !prov->get_params(prov->handle, about)
        || !prov->get_params(prov->handle, config.params)) {
        consul_error_set(err, CONSUL_R_INTERNAL, "OpenSSL did not hand over the configuration");
        return NULL;
    }
    if (name != NULL && !check_file(name, err))
        return NULL;
    return consul_settings_new(lookup, &config, err);
}

const char *prov_config_value(const prov_ctx *prov, const char *name)
{
    char *value = NULL;
    OSSL_PARAM params[2];

    params[0] = OSSL_PARAM_construct_utf8_ptr(name, &value, 0);
    params[1] = OSSL_PARAM_construct_end();
    return prov->get_params(prov->handle, params) ? value : NULL;
}

const char *prov_config_row(const prov_ctx *prov, const char *table, const char *row)
{
    char name[512];

    if ((size_t)snprintf(name, sizeof(name), "%s.%s", table, row) >= sizeof(name))
        return NULL;
    return prov_config_value(prov, name);
}
