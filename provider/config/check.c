/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL hands us only what we ask for by name, so a misspelt setting would be as good as none. So we
 * look into the file, and refuse what would be without effect.
 */
#include "config/check.h"

#include "config/file.h"
#include "config/lines.h"
#include "config/lost.h"
#include "config/names.h"
#include "config/upstream.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

typedef struct config_check {
    config_file file;
    const char *path;
    const char *provider;  /* our name */
    const prov_core *core; /* of the loaded section, or NULL */
    const char *section;   /* our first section, or NULL */
    const char *loaded;    /* our section with the values of the core, or NULL */
    consul_error *err;
} config_check;

/*
 * Refuse a section with two rows of one name, as OpenSSL takes the last one and ignores the other. Refuse a section that has
 * more rows for its reader than for OpenSSL.
 */
static int check_lines(const config_check *check, const char *section)
{
    const char *name = config_file_twice(&check->file, section);

    if (name != NULL)
        return config_file_refuse(check->err, section, name,
                                  "it stands there twice, and the first is ignored", "");
    return config_lines_check(&check->file, check->path, section, check->err);
}

static bool is_section(const config_check *check, const char *name)
{
    return NCONF_get_section(check->file.conf, name) != NULL;
}

static int refuse_section(const config_check *check, const char *section, const CONF_VALUE *row,
                          bool secret)
{
    const char *shown = secret ? "(secret)" : row->value;

    if (strcmp(row->value, "default") == 0)
        return consul_error_set(check->err, CONSUL_R_SETTING_INVALID,
                                "[%s] %s = %s: OpenSSL takes the value for the lines above all "
                                "sections; no row can have it",
                                section, row->name, shown);
    return consul_error_set(check->err, CONSUL_R_SETTING_INVALID,
                            "[%s] %s = %s: OpenSSL takes the value for the section [%s] of the "
                            "same file; rename that section",
                            section, row->name, shown, shown);
}

static int check_upstream(const config_check *check, const char *section, const CONF_VALUE *row)
{
    consul_service service;

    if (config_name_option(row->name) != NULL || config_name_is_openssls(row->name))
        return config_file_refuse(check->err, section, row->name,
                                  "this is a setting and no host, and belongs into the section ",
                                  check->section);
    if (is_section(check, row->value))
        return refuse_section(check, section, row, false);
    if (!prov_upstream_check(row->name, check->err)
        || !consul_service_parse(row->value, &service, check->err))
        return consul_error_prefix(check->err, "[%s] %s = %.100s: ", section, row->name,
                                   row->value);
    return 1;
}

static int check_table(const config_check *check, const char *section)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(check->file.conf, section);
    int i;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        if (!check_upstream(check, section, sk_CONF_VALUE_value(rows, i)))
            return 0;
    }
    return check_lines(check, section);
}

static int refuse_name(const config_check *check, const char *section, const char *name)
{
    const char *near = config_name_nearest(name);

    return config_file_refuse(check->err, section, name,
                              near == NULL ? "there is no such setting"
                                           : "there is no such setting; the nearest is ",
                              near == NULL ? "" : near);
}

/* Check the value of `activate`. OpenSSL 3.0 takes any, and so a row that is joined to it would be lost. */
static int check_activate(const config_check *check, const char *section, const CONF_VALUE *row)
{
    static const char *const words[] = {"1", "yes", "true", "on", "0", "no", "false", "off"};
    size_t i;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(row->value, words[i]) == 0)
            return 1;
    }
    return config_file_refuse(check->err, section, row->name,
                              "allowed are 1, yes, true, on and 0, no, false, off", "");
}

static int check_setting(const config_check *check, const char *section, const CONF_VALUE *row)
{
    const consul_option *option = config_name_option(row->name);

    if (strcmp(row->name, "activate") == 0)
        return check_activate(check, section, row);
    if (config_name_is_openssls(row->name))
        return 1;
    if (option == NULL)
        return refuse_name(check, section, row->name);
    if (option->type == CONSUL_OPTION_TABLE)
        return check_table(check, row->value);
    if (!is_section(check, row->value))
        return 1;
    return refuse_section(check, section, row, option->type == CONSUL_OPTION_SECRET);
}

/* Return true where the core hands over the values of this section. A table's rows do not count. */
static bool is_loaded(const config_check *check, const char *section)
{
    const consul_option *option;

    for (option = consul_options; option->name != NULL && check->core != NULL; option++) {
        const char *value = prov_section_value(check->core, option->name);
        const char *row = config_file_value(&check->file, section, option->name);

        if (option->type != CONSUL_OPTION_TABLE
            && (value == NULL ? row != NULL : row == NULL || strcmp(value, row) != 0))
            return false;
    }
    return true;
}

static int check_settings(config_check *check, const char *section)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(check->file.conf, section);
    int i;

    if (check->section == NULL)
        check->section = section;
    if (check->loaded == NULL && is_loaded(check, section))
        check->loaded = section;
    if (*check->file.passed_over != '\0')
        return consul_error_set(
            check->err, CONSUL_R_SETTING_INVALID,
            "OpenSSL passes over a file that it cannot include, and a setting may be in it: %s; "
            "make it readable for this user, or take the .include out",
            check->file.passed_over);
    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        if (!check_setting(check, section, sk_CONF_VALUE_value(rows, i)))
            return 0;
    }
    return check_lines(check, section);
}

/* Refuse our settings in the section of another provider, where a line added at the end may stand. */
static int check_other(const config_check *check, const char *section, const char *ours)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(check->file.conf, section);
    int i;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const char *name = sk_CONF_VALUE_value(rows, i)->name;

        if (config_name_option(name) != NULL)
            return config_file_refuse(
                check->err, section, name,
                "this is a setting of another provider, and belongs into the section ", ours);
    }
    return 1;
}

#define TWO_SECTIONS                                                              \
    "one provider has two sections here, and OpenSSL ignores one of them; leave " \
    "one, or give both another name than "

/* Find the section of the provider that has our name, as provider_conf.c of OpenSSL finds it. */
static int find_settings(const config_check *check, const char *providers, const char **ours)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(check->file.conf, providers);
    int i;

    *ours = NULL;
    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);

        if (strcmp(config_file_provider(&check->file, row), check->provider) != 0)
            continue;
        if (*ours != NULL || config_file_replaced(&check->file, row, 0) != NULL)
            return config_file_refuse(check->err, providers, row->name, TWO_SECTIONS,
                                      check->provider);
        *ours = row->value;
    }
    return 1;
}

/* Refuse a second row for providers, where its section has our name, too. A row of the same name has been replaced. */
static int check_alone(const config_check *check, const CONF_VALUE *init, const char *kept)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(check->file.conf, init->section);
    const char *ours, *replaced;
    int i;

    for (i = 0; (replaced = config_file_replaced(&check->file, init, i)) != NULL; i++) {
        if (!find_settings(check, replaced, &ours))
            return 0;
        if (ours != NULL && strcmp(ours, kept) != 0)
            return config_file_refuse(check->err, init->section, init->name, TWO_SECTIONS,
                                      check->provider);
    }
    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);

        if (!config_name_is_for(row->name, "providers") || strcmp(row->name, init->name) == 0)
            continue;
        if (!find_settings(check, row->value, &ours))
            return 0;
        if (ours != NULL)
            return config_file_refuse(check->err, init->section, row->name, TWO_SECTIONS,
                                      check->provider);
    }
    return 1;
}

/*
 * Check every section that has a row for providers. A program may have its own name for its section, as
 * nodejs_conf is, and OpenSSL does not tell that name.
 */
static int check_providers(const CONF_VALUE *init, void *arg)
{
    config_check *check = arg;
    const char *providers = init->value, *ours;
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(check->file.conf, providers);
    int i;

    if (!config_name_is_for(init->name, "providers"))
        return 1;
    if (!find_settings(check, providers, &ours))
        return 0;
    if (ours == NULL)
        return 1;
    if (!check_alone(check, init, ours))
        return 0;
    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);

        if (config_name_is_deciding(row->name))
            return config_file_refuse(
                check->err, providers, row->name,
                "this is a setting and no provider, and belongs into the section ", ours);
        if (config_name_is_builtin(config_file_provider(&check->file, row))
            && !check_other(check, row->value, ours))
            return 0;
    }
    return check_settings(check, ours)
           && config_lost_check(&check->file, check->provider, ours, check->err);
}

int prov_config_check(const char *provider, const prov_core *core, char place[PROV_PLACE_MAX],
                      consul_error *err)
{
    char *path = CONF_get1_default_config_file();
    config_check check = {.path = path, .provider = provider, .core = core, .err = err};
    int ok = 1;

    *place = '\0';
    if (path == NULL)
        return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the path of openssl.cnf");
    if (config_file_read(&check.file, path)) {
        ok = config_file_each(&check.file, check_providers, &check)
             || consul_error_prefix(err, "%s: ", path);
        if (check.loaded != NULL)
            snprintf(place, PROV_PLACE_MAX, "%s: [%s] ", path, check.loaded);
    }
    if (ok && check.file.is_short)
        ok = consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "%s cannot be checked", path);
    config_file_close(&check.file);
    OPENSSL_free(path);
    return ok;
}
