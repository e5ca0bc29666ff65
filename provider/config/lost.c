/* SPDX-License-Identifier: Apache-2.0 */
#include "config/lost.h"

#include "config/names.h"

#include <string.h>
#include <strings.h>

typedef struct search {
    const config_file *file;
    const char *provider; /* our name */
    const char *ours;     /* our section */
    consul_error *err;
} search;

/* Return true for a row that has OpenSSL load this module. Another name than ours may be of another instance. */
static bool loads_this_module(const search *s, const CONF_VALUE *row)
{
    const char *module = config_file_value(s->file, row->value, "module");
    const char *own = config_file_value(s->file, s->ours, "module");

    return strcmp(config_file_provider(s->file, row), s->provider) == 0
           || (module != NULL && own != NULL && strcmp(module, own) == 0);
}

/* Return true where a list of providers has OpenSSL load this module with that section. */
static bool is_in_list(const search *s, const char *providers, const char *section)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(s->file->conf, providers);
    int i;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);

        if (strcmp(row->value, section) == 0 && loads_this_module(s, row)
            && config_file_value(s->file, section, "activate") != NULL)
            return true;
    }
    return false;
}

/* Return true for a section that a row above all sections named, until another row took the place of that. */
static bool is_replaced(const search *s, const char *init)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(s->file->conf, "default");
    const char *replaced;
    int i, k;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);

        for (k = 0; (replaced = config_file_replaced(s->file, row, k)) != NULL; k++) {
            if (strcmp(replaced, init) == 0 && strcmp(row->value, init) != 0)
                return true;
        }
    }
    return false;
}

/*
 * Return true for a section of this module that a program comes to. It begins above all sections, with openssl_conf or
 * a name of its own, as nodejs_conf is. Such a section is checked by itself.
 */
static bool is_reached(const search *s, const char *section)
{
    STACK_OF(CONF_VALUE) *programs = NCONF_get_section(s->file->conf, "default"), *rows;
    int i, k;

    for (i = 0; i < sk_CONF_VALUE_num(programs); i++) {
        const char *init = sk_CONF_VALUE_value(programs, i)->value;

        rows = is_replaced(s, init) ? NULL : NCONF_get_section(s->file->conf, init);
        for (k = 0; k < sk_CONF_VALUE_num(rows); k++) {
            const CONF_VALUE *row = sk_CONF_VALUE_value(rows, k);

            if (config_name_is_for(row->name, "providers") && is_in_list(s, row->value, section))
                return true;
        }
    }
    return false;
}

/* Return 0 for a row that makes `section` a list of new OIDs. Its rows may have any name. */
static int is_no_oid_list(const CONF_VALUE *row, void *section)
{
    return strcmp(row->name, "oid_section") != 0 || strcmp(row->value, section) != 0;
}

static int check_row(const CONF_VALUE *row, void *arg)
{
    const search *s = arg;

    if (*row->name == '.' || strcasecmp(row->name, "include") == 0)
        return config_file_refuse(s->err, row->section, row->name,
                                  "OpenSSL includes no file by this row; write .include and the "
                                  "path",
                                  "");
    return !config_name_is_deciding(row->name)
           || config_file_value(s->file, s->ours, row->name) != NULL
           || !config_file_each(s->file, is_no_oid_list, row->section)
           || is_reached(s, row->section)
           || config_file_refuse(s->err, row->section, row->name,
                                 "this is without effect, and belongs into the section ", s->ours);
}

typedef struct table {
    const config_file *file;
    const char *section;
} table;

/* Return 0 for a row that names the table, in a section of a provider. */
static int is_no_row_for(const CONF_VALUE *row, void *arg)
{
    const table *t = arg;

    return strcmp(row->name, "upstreams") != 0 || strcmp(row->value, t->section) != 0
           || (config_file_value(t->file, row->section, "module") == NULL
               && config_file_value(t->file, row->section, "activate") == NULL);
}

/* Refuse hosts that no row names. The row for them may still be the comment that it is in the example. */
static int check_hosts(const search *s, const char *section)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(s->file->conf, section);
    table t = {.file = s->file, .section = section};

    return sk_CONF_VALUE_num(rows) <= 0 || !config_file_each(s->file, is_no_row_for, &t)
           || config_file_refuse(s->err, section, sk_CONF_VALUE_value(rows, 0)->name,
                                 "it is without effect, as no row upstreams names its section; "
                                 "such a row belongs into the section ",
                                 s->ours);
}

int config_lost_check(const config_file *file, const char *provider, const char *ours,
                      consul_error *err)
{
    search s = {.file = file, .provider = provider, .ours = ours, .err = err};

    return config_file_each(file, check_row, &s) && check_hosts(&s, "upstreams_sect")
           && check_hosts(&s, "upstreams");
}
