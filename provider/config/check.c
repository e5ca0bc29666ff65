/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL hands us only what we ask for by name, so a misspelt setting would be as good as none. So we
 * look into the file, and refuse what would be without effect.
 */
#include "config/check.h"

#include "config/file.h"
#include "config/upstream.h"

#include <stdio.h>
#include <string.h>

#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

typedef struct config_check {
    config_file file;
    const char *provider;  /* our name */
    const prov_core *core; /* of the loaded section, or NULL */
    const char *section;   /* our first section, or NULL */
    const char *loaded;    /* our section with the values of the core, or NULL */
    consul_error *err;
} config_check;

/* ---- names ---- */

/* The words that OpenSSL itself understands in a provider's section, config(5). */
static const char *const openssl_words[] = {"module", "activate", "identity", "soft_load"};

#define OPENSSL_WORDS (sizeof(openssl_words) / sizeof(openssl_words[0]))

static bool is_openssl_word(const char *name)
{
    size_t i;

    for (i = 0; i < OPENSSL_WORDS; i++) {
        if (strcmp(openssl_words[i], name) == 0)
            return true;
    }
    return false;
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

#define COMPARED_MAX 32 /* bytes; no setting has a name of that length */
#define SLIPS_MAX 3     /* of a name that may still have been meant */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Count the bytes left out, put in, replaced or swapped with the next. A capital is no slip. */
static size_t count_slips(const char *a, const char *b)
{
    size_t rows[3][COMPARED_MAX + 1], *above2 = rows[0], *above = rows[1], *row = rows[2], *spare;
    size_t i, k, len_a = strlen(a), len_b = strlen(b);

    if (len_a > COMPARED_MAX || len_b > COMPARED_MAX)
        return COMPARED_MAX;
    for (k = 0; k <= len_b; k++)
        row[k] = k;
    for (i = 1; i <= len_a; i++) {
        spare = above2;
        above2 = above;
        above = row;
        row = spare;
        row[0] = i;
        for (k = 1; k <= len_b; k++) {
            char x = consul_lower(a[i - 1]), y = consul_lower(b[k - 1]);

            row[k] = least(least(above[k], row[k - 1]) + 1, above[k - 1] + (x != y));
            if (i > 1 && k > 1 && x == consul_lower(b[k - 2]) && consul_lower(a[i - 2]) == y)
                row[k] = least(row[k], above2[k - 2] + 1);
        }
    }
    return row[len_b];
}

/* Return the name that was probably meant, or NULL. */
static const char *nearest(const char *name)
{
    size_t slips, best = least(SLIPS_MAX, strlen(name) / 2) + 1, i;
    const consul_option *option;
    const char *found = NULL;

    for (option = consul_options; option->name != NULL; option++) {
        if ((slips = count_slips(name, option->name)) < best) {
            best = slips;
            found = option->name;
        }
    }
    for (i = 0; i < OPENSSL_WORDS; i++) {
        if ((slips = count_slips(name, openssl_words[i])) < best) {
            best = slips;
            found = openssl_words[i];
        }
    }
    return found;
}

bool prov_config_makes_a_service(const char *name)
{
    return strcmp(name, "service") == 0 || strcmp(name, "inbound") == 0
           || strcmp(name, "outbound") == 0 || strcmp(name, "upstreams") == 0;
}

/* ---- sections ---- */

static int refuse(const config_check *check, const char *section, const char *name,
                  const char *text, const char *about)
{
    return consul_error_set(check->err, CONSUL_R_SETTING_INVALID, "[%s] %s: %s%s", section, name,
                            text, about);
}

/* Refuse a section with two rows of one name: OpenSSL takes the last one and ignores the other. */
static int check_twice(const config_check *check, const char *section)
{
    const char *name = config_file_twice(&check->file, section);

    return name == NULL
           || refuse(check, section, name, "it stands there twice, and the first is ignored", "");
}

static bool is_section(const config_check *check, const char *name)
{
    return NCONF_get_section(check->file.conf, name) != NULL;
}

static int refuse_section(const config_check *check, const char *section, const CONF_VALUE *row,
                          bool secret)
{
    const char *shown = secret ? "(secret)" : row->value;

    return consul_error_set(check->err, CONSUL_R_SETTING_INVALID,
                            "[%s] %s = %s: OpenSSL takes the value for the section [%s] of the "
                            "same file; rename that section",
                            section, row->name, shown, shown);
}

static int check_upstream(const config_check *check, const char *section, const CONF_VALUE *row)
{
    consul_service service;

    if (find_option(row->name) != NULL || is_openssl_word(row->name))
        return refuse(check, section, row->name,
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
    return check_twice(check, section);
}

static int refuse_name(const config_check *check, const char *section, const char *name)
{
    const char *near = nearest(name);

    return refuse(check, section, name,
                  near == NULL ? "there is no such setting"
                               : "there is no such setting; the nearest is ",
                  near == NULL ? "" : near);
}

static int check_setting(const config_check *check, const char *section, const CONF_VALUE *row)
{
    const consul_option *option = find_option(row->name);

    if (is_openssl_word(row->name))
        return 1;
    if (option == NULL)
        return refuse_name(check, section, row->name);
    if (option->type == CONSUL_OPTION_TABLE)
        return check_table(check, row->value);
    if (!is_section(check, row->value))
        return 1;
    return refuse_section(check, section, row, option->type == CONSUL_OPTION_SECRET);
}

/* Refuse a setting that makes a service, in a section that has no lawful row of that name. Ours may have it, too. */
static int check_lost(const config_check *check, const char *section, const char *ours,
                      const char *text)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(check->file.conf, section);
    int i;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const char *name = sk_CONF_VALUE_value(rows, i)->name;

        if (prov_config_makes_a_service(name)
            && config_file_value(&check->file, ours, name) == NULL)
            return refuse(check, section, name, text, ours);
    }
    return 1;
}

#define LOST "is without effect, and belongs into the section "

/*
 * Look for lost settings around our section: above all sections, where OpenSSL keeps variables; in the section `init` with
 * the names of OpenSSL's modules; in sections of ssl_conf, which have commands of SSL_CONF_cmd(3); and in the section of the
 * example that is for hosts. Any other section may be another program's, with names of its own.
 */
static int check_around(const config_check *check, const char *init, const char *ours)
{
    const char *ssl = config_file_value(&check->file, init, "ssl_conf");
    STACK_OF(CONF_VALUE) *rows = ssl == NULL ? NULL : NCONF_get_section(check->file.conf, ssl);
    int i;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        if (!check_lost(check, sk_CONF_VALUE_value(rows, i)->value, ours,
                        "among the settings of libssl this " LOST))
            return 0;
    }
    return check_lost(check, "default", ours, "above all sections this " LOST)
           && check_lost(check, init, ours, "among OpenSSL's modules this " LOST)
           && check_lost(check, "upstreams_sect", ours,
                         "in a section that no row upstreams names this " LOST);
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
    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        if (!check_setting(check, section, sk_CONF_VALUE_value(rows, i)))
            return 0;
    }
    return check_twice(check, section);
}

/* Refuse our settings in the section of another provider, where a line added at the end may stand. */
static int check_other(const config_check *check, const char *section, const char *ours)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(check->file.conf, section);
    int i;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const char *name = sk_CONF_VALUE_value(rows, i)->name;

        if (find_option(name) != NULL)
            return refuse(check, section, name,
                          "this is a setting of another provider, and belongs into the section ",
                          ours);
    }
    return 1;
}

static const char *identity(const config_check *check, const CONF_VALUE *row)
{
    const char *dot = strchr(row->name, '.');
    const char *said = config_file_value(&check->file, row->value, "identity");

    return said != NULL ? said : dot == NULL ? row->name : dot + 1;
}

static bool is_builtin(const char *provider)
{
    return strcmp(provider, "default") == 0 || strcmp(provider, "base") == 0
           || strcmp(provider, "legacy") == 0 || strcmp(provider, "null") == 0;
}

/* Find the section of the provider that has our name, as provider_conf.c of OpenSSL finds it. */
static int find_settings(const config_check *check, const char *providers, const char **ours)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(check->file.conf, providers);
    const char *twice = config_file_twice(&check->file, providers);
    int i;

    *ours = NULL;
    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);

        if (strcmp(identity(check, row), check->provider) != 0)
            continue;
        if (*ours != NULL || (twice != NULL && strcmp(twice, row->name) == 0))
            return refuse(check, providers, row->name,
                          "one provider has two sections here, and OpenSSL ignores the first; "
                          "leave one, or give both another name than ",
                          check->provider);
        *ours = row->value;
    }
    return 1;
}

/*
 * Check every section that has a row `providers`. A program may have its own name for its section, as
 * nodejs_conf is, and OpenSSL does not tell that name.
 */
static int check_providers(const CONF_VALUE *init, void *arg)
{
    config_check *check = arg;
    const char *providers = init->value, *ours;
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(check->file.conf, providers);
    int i;

    if (!find_settings(check, providers, &ours))
        return 0;
    if (ours == NULL)
        return 1;
    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);

        if (prov_config_makes_a_service(row->name))
            return refuse(check, providers, row->name,
                          "this is a setting and no provider, and belongs into the section ", ours);
        if (is_builtin(identity(check, row)) && !check_other(check, row->value, ours))
            return 0;
    }
    return check_settings(check, ours) && check_around(check, init->section, ours);
}

int prov_config_check(const char *provider, const prov_core *core, char place[PROV_PLACE_MAX],
                      consul_error *err)
{
    char *path = CONF_get1_default_config_file();
    config_check check = {.provider = provider, .core = core, .err = err};
    int ok = 1;

    *place = '\0';
    if (path != NULL && config_file_read(&check.file, path)) {
        ok = config_file_each(&check.file, "providers", check_providers, &check)
             || consul_error_prefix(err, "%s: ", path);
        if (ok && check.section != NULL && *check.file.passed_over != '\0')
            ok = consul_error_set(
                err, CONSUL_R_SETTING_INVALID,
                "%s: OpenSSL passes over a file that it cannot include, and a setting may be in it: %s; "
                "make it readable for this user, or take the .include out",
                path, check.file.passed_over);
        if (check.loaded != NULL)
            snprintf(place, PROV_PLACE_MAX, "%s: [%s] ", path, check.loaded);
    }
    config_file_close(&check.file);
    OPENSSL_free(path);
    return ok;
}
