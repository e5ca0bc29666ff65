/* SPDX-License-Identifier: Apache-2.0 */
#include "common/conf.h"

#include "config/check.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

const char *cli_conf_value(const cli_conf *conf, const char *section, const char *name)
{
    return config_file_value(&conf->file, section, name);
}

static bool is_section(const cli_conf *conf, const char *name)
{
    return name != NULL && NCONF_get_section(conf->file.conf, name) != NULL;
}

/* Find the provider's section: a row may have a prefix and a dot, and the section an identity. */
static const char *find_section(const cli_conf *conf)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(conf->file.conf, conf->providers);
    int i;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);

        if (strcmp(config_file_provider(&conf->file, row), CLI_PROVIDER) == 0
            && is_section(conf, row->value))
            return row->value;
    }
    return NULL;
}

static void find_way(cli_conf *conf)
{
    const char *init = cli_conf_value(conf, "default", conf->application), *providers;

    if (!is_section(conf, init))
        return;
    conf->init = init;
    providers = cli_conf_value(conf, init, "providers");
    if (!is_section(conf, providers))
        return;
    conf->providers = providers;
    conf->section = find_section(conf);
}

int cli_conf_open(cli_conf *conf, const char *path, const char *application, consul_error *err)
{
    memset(conf, 0, sizeof(*conf));
    conf->application = application == NULL ? "openssl_conf" : application;
    if (path != NULL && *path != '\0') {
        char *whole = realpath(path, NULL);

        conf->path = OPENSSL_strdup(whole == NULL ? path : whole);
        free(whole);
    } else {
        conf->path = CONF_get1_default_config_file();
    }
    if (conf->path == NULL || setenv("OPENSSL_CONF", conf->path, 1) != 0)
        return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the path of openssl.cnf");
    ERR_set_mark();
    conf->is_read = config_file_read(&conf->file, conf->path);
    ERR_pop_to_mark();
    if (conf->is_read)
        find_way(conf);
    return 1;
}

void cli_conf_close(cli_conf *conf)
{
    config_file_close(&conf->file);
    OPENSSL_free(conf->path);
    memset(conf, 0, sizeof(*conf));
}

/* Find the value of a setting as OpenSSL's core would hand it over: NULL for the name of a section. */
static const char *lookup(const char *name, void *arg)
{
    const cli_conf *conf = arg;
    const char *value = conf->section == NULL ? NULL : cli_conf_value(conf, conf->section, name);

    return is_section(conf, value) ? NULL : value;
}

consul_settings *cli_conf_settings(const cli_conf *conf, consul_error *err)
{
    char place[PROV_PLACE_MAX] = "";
    consul_settings *settings;

    if (!conf->is_read)
        return consul_settings_new(NULL, NULL, err);
    if (!prov_config_check(CLI_PROVIDER, NULL, place, err))
        return NULL;
    settings = consul_settings_new(lookup, (void *)(uintptr_t)conf, err);
    if (settings == NULL)
        consul_error_prefix(err, "%s", place);
    return settings;
}
