/* SPDX-License-Identifier: Apache-2.0 */
#include "config/file.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/conferr.h>
#include <openssl/conftypes.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/lhash.h>

/* ---- a table of rows ---- */

static _Thread_local config_file *reading; /* the file that is being read, or NULL */

/*
 * Hash a row of a file. OpenSSL keeps rows in a hash table, where a row takes the place of another row
 * of its name. Both types are public, openssl/conftypes.h. So the table is ours, and notes that.
 */
static unsigned long hash_row(const void *row)
{
    const CONF_VALUE *value = row;

    return OPENSSL_LH_strhash(value->section) << 2 ^ OPENSSL_LH_strhash(value->name);
}

static int compare_texts(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return (a != NULL) - (b != NULL);
    return strcmp(a, b);
}

/* Free a name and the value behind it, which may be a token. */
static void free_text(char *text)
{
    size_t len = strlen(text) + 1;

    OPENSSL_clear_free(text, len + strlen(text + len));
}

/* Note a row that another one of its name replaces: "[section] name", and its value behind the NUL. */
static void note(const CONF_VALUE *row)
{
    size_t len = strlen(row->section) + strlen(row->name) + sizeof("[] ") - 1;
    size_t value_size = strlen(row->value) + 1;
    char *text = OPENSSL_malloc(len + 1 + value_size);

    if (text == NULL) {
        reading->is_short = true;
        return;
    }
    snprintf(text, len + 1, "[%s] %s", row->section, row->name);
    memcpy(text + len + 1, row->value, value_size);
    if (sk_OPENSSL_STRING_push(reading->twice, text) <= 0) {
        reading->is_short = true;
        free_text(text);
    }
}

/* Compare two rows. An added row has its section's own string; a look-up has a string of the caller. */
static int compare_rows(const void *in_table, const void *other)
{
    const CONF_VALUE *a = in_table, *b = other;
    int order = compare_texts(a->section, b->section);

    if (order == 0)
        order = compare_texts(a->name, b->name);
    if (order == 0 && reading != NULL && a != b && a->section == b->section && a->name != NULL)
        note(a);
    return order;
}

/*
 * Call the functions of a table, as libcrypto does from 3.3 on. Its headers set these four, but a module
 * built with older headers runs there, too.
 */
static unsigned long call_hash(const void *row, OPENSSL_LH_HASHFUNC hash)
{
    return hash(row);
}

static int call_compare(const void *a, const void *b, OPENSSL_LH_COMPFUNC compare)
{
    return compare(a, b);
}

static void call_each(void *row, OPENSSL_LH_DOALL_FUNC each)
{
    each(row);
}

static void call_each_with(void *row, void *arg, OPENSSL_LH_DOALL_FUNCARG each)
{
    each(row, arg);
}

typedef OPENSSL_LHASH *set_thunks_fn(OPENSSL_LHASH *table,
                                     unsigned long (*)(const void *, OPENSSL_LH_HASHFUNC),
                                     int (*)(const void *, const void *, OPENSSL_LH_COMPFUNC),
                                     void (*)(void *, OPENSSL_LH_DOALL_FUNC),
                                     void (*)(void *, void *, OPENSSL_LH_DOALL_FUNCARG));

static OPENSSL_LHASH *new_table(void)
{
    OPENSSL_LHASH *table = OPENSSL_LH_new(hash_row, compare_rows);
    void *symbol = dlsym(RTLD_DEFAULT, "OPENSSL_LH_set_thunks");
    set_thunks_fn *set_thunks;

    memcpy(&set_thunks, &symbol, sizeof(set_thunks));
    if (table != NULL && set_thunks != NULL)
        set_thunks(table, call_hash, call_compare, call_each, call_each_with);
    return table;
}

/* ---- files ---- */

/*
 * Write OpenSSL's last error of reading a file. OpenSSL raises one for an include that it cannot open, and
 * goes on without it (process_include in its conf_def.c). `beginning` is an error from before, and empties the text.
 */
static void write_last_error(unsigned long beginning, char *text, size_t size)
{
    char words[256];
    const char *data = "", *reason;
    unsigned long error = ERR_peek_last_error_all(NULL, NULL, NULL, &data, NULL);

    *text = '\0';
    if (error == beginning)
        return;
    ERR_error_string_n(error, words, sizeof(words));
    reason = strrchr(words, ':');
    snprintf(text, size, "%s%s%s", data, *data == '\0' ? "" : ": ",
             reason == NULL ? words : reason + 1);
}

/*
 * Return true where memory or descriptors were short for a file. A line that OpenSSL cannot read has another reason of
 * conferr.h. An absent file has the system's reason, and so has a file without memory to open it.
 */
static bool was_short(const char *path, unsigned long error)
{
    const char *why;
    FILE *file;

    if (ERR_GET_LIB(error) == ERR_LIB_CONF && !ERR_COMMON_ERROR(error)
        && ERR_GET_REASON(error) != CONF_R_UNABLE_TO_CREATE_NEW_SECTION)
        return false;
    file = consul_file_open(path, &why);
    if (file != NULL)
        fclose(file);
    return file != NULL || errno == ENOMEM || errno == EMFILE || errno == ENFILE;
}

/*
 * Look for the rows of a section in the table. OpenSSL notices no row that the table had no memory for
 * (_CONF_add_string in its conf_api.c).
 */
static void look_for_rows(void *row, void *arg)
{
    const CONF_VALUE *section = row;
    STACK_OF(CONF_VALUE) *rows = section->name == NULL ? (void *)section->value : NULL;
    config_file *file = arg;
    int i;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        void *wanted = sk_CONF_VALUE_value(rows, i);

        if (OPENSSL_LH_retrieve((OPENSSL_LHASH *)file->conf->data, wanted) != wanted)
            file->is_short = true;
    }
}

int config_file_read(config_file *file, const char *path)
{
    const unsigned long beginning = ERR_PACK(ERR_LIB_USER, 0, 1);
    int ok = 0;
    long line;

    memset(file, 0, sizeof(*file));
    file->conf = NCONF_new(NULL);
    file->twice = sk_OPENSSL_STRING_new_null();
    if (file->conf != NULL)
        file->conf->data = (LHASH_OF(CONF_VALUE) *)new_table();
    file->is_short = file->conf == NULL || file->twice == NULL || file->conf->data == NULL;
    if (file->is_short || !consul_file_is_regular(path)) /* a FIFO can be read once */
        return 0;
    ERR_set_mark();
    ERR_raise(ERR_LIB_USER, ERR_GET_REASON(beginning));
    file->is_short = ERR_peek_last_error() != beginning; /* without memory for errors */
    reading = file;
    ok = NCONF_load(file->conf, path, &line) > 0;
    reading = NULL;
    file->is_short |= !ok && was_short(path, ERR_peek_last_error());
    OPENSSL_LH_doall_arg((OPENSSL_LHASH *)file->conf->data, look_for_rows, file);
    write_last_error(beginning, file->passed_over, sizeof(file->passed_over));
    ERR_pop_to_mark();
    return ok;
}

void config_file_close(config_file *file)
{
    NCONF_free(file->conf);
    sk_OPENSSL_STRING_pop_free(file->twice, free_text);
    file->conf = NULL;
    file->twice = NULL;
}

const char *config_file_twice(const config_file *file, const char *section)
{
    size_t len = strlen(section);
    int i;

    for (i = 0; i < sk_OPENSSL_STRING_num(file->twice); i++) {
        const char *text = sk_OPENSSL_STRING_value(file->twice, i);

        if (strncmp(text + 1, section, len) == 0 && strncmp(text + 1 + len, "] ", 2) == 0)
            return text + len + 3;
    }
    return NULL;
}

const char *config_file_replaced(const config_file *file, const CONF_VALUE *row, int which)
{
    int i;

    for (i = 0; i < sk_OPENSSL_STRING_num(file->twice); i++) {
        const char *text = sk_OPENSSL_STRING_value(file->twice, i);
        size_t len = strlen(row->section);

        if (strncmp(text + 1, row->section, len) == 0 && strncmp(text + 1 + len, "] ", 2) == 0
            && strcmp(text + len + 3, row->name) == 0 && which-- == 0)
            return text + strlen(text) + 1;
    }
    return NULL;
}

const char *config_file_value(const config_file *file, const char *section, const char *name)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(file->conf, section);
    int i;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);

        if (strcmp(row->name, name) == 0)
            return row->value;
    }
    return NULL;
}

/* Return a name without all up to its first dot, as OpenSSL takes it (skip_dot in its provider_conf.c). */
static const char *after_dot(const char *name)
{
    const char *dot = strchr(name, '.');

    return dot == NULL ? name : dot + 1;
}

const char *config_file_provider(const config_file *file, const CONF_VALUE *row)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(file->conf, row->value);
    const char *name = after_dot(row->name);
    int i;

    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        if (strcmp(after_dot(sk_CONF_VALUE_value(rows, i)->name), "identity") == 0)
            name = sk_CONF_VALUE_value(rows, i)->value;
    }
    return name;
}

typedef struct visit {
    config_file_fn *each;
    void *arg;
    int ok;
} visit;

static void visit_row(void *row, void *arg)
{
    const CONF_VALUE *value = row;
    visit *v = arg;

    if (v->ok && value->name != NULL)
        v->ok = v->each(value, v->arg);
}

int config_file_each(const config_file *file, config_file_fn *each, void *arg)
{
    visit v = {.each = each, .arg = arg, .ok = 1};

    OPENSSL_LH_doall_arg((OPENSSL_LHASH *)file->conf->data, visit_row, &v);
    return v.ok;
}

int config_file_refuse(consul_error *err, const char *section, const char *name, const char *text,
                       const char *about)
{
    return consul_error_set(err, CONSUL_R_SETTING_INVALID, "[%s] %s: %s%s", section, name, text,
                            about);
}
