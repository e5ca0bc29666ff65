/* SPDX-License-Identifier: Apache-2.0 */
#include "config/lines.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#define BLANKS " \t"
#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

/* The reader of one file. */
typedef struct reader {
    const char *section;
    bool is_within; /* the section */
    bool goes_on;   /* the line before, into this one */
    long number;    /* of the line */
    /* The rows of the section in all files, by name. A line takes its row out. */
    STACK_OF(CONF_VALUE) *rows;
    consul_error *err;
} reader;

static bool is_text(const char *text, size_t len, const char *expected)
{
    return strlen(expected) == len && memcmp(text, expected, len) == 0;
}

/* Return true for a text with a row in it that counts for the section, or with a file. */
static bool has_row(const reader *r, const char *text)
{
    return *text != '#'
           && (strncmp(text, ".include", 8) == 0
               || (strchr(text, '=') != NULL && (r->is_within || strstr(text, "::") != NULL)));
}

/* Take the line that begins a section. OpenSSL ignores a row behind it. A joined line may be an address, as [::1]. */
static int take_section(reader *r, const char *line)
{
    const char *name = line + 1 + strspn(line + 1, BLANKS), *end = strchr(name, ']');
    size_t len;

    if (end == NULL)
        return 1;
    for (len = (size_t)(end - name); len > 0 && strchr(BLANKS, name[len - 1]) != NULL; len--)
        ;
    if (r->goes_on && !is_text(name, len, r->section))
        return 1;
    r->is_within = is_text(name, len, r->section);
    return !has_row(r, end + 1 + strspn(end + 1, BLANKS))
           || consul_error_set(r->err, CONSUL_R_SETTING_INVALID,
                               "line %ld has more than the name of a section, and OpenSSL ignores "
                               "it; write the rest on a line of its own",
                               r->number);
}

static int compare_names(const CONF_VALUE *const *a, const CONF_VALUE *const *b)
{
    return strcmp((*a)->name, (*b)->name);
}

/* Find the row of a line. Return false where OpenSSL has none, or has it of an earlier line. */
static bool take_out(reader *r, char *name, size_t len)
{
    CONF_VALUE wanted = {.name = name};
    char end = name[len];
    int at;

    name[len] = '\0';
    at = sk_CONF_VALUE_find(r->rows, &wanted);
    name[len] = end;
    if (at >= 0)
        sk_CONF_VALUE_delete(r->rows, at);
    return at >= 0;
}

static int take_row(reader *r, char *name)
{
    size_t len = strcspn(name, BLANKS "=");
    char *colons = strstr(name, "::");
    bool is_within = r->is_within;

    if (name[len + strspn(name + len, BLANKS)] != '=')
        return 1;
    if (colons != NULL && colons < name + len) {
        is_within = is_text(name, (size_t)(colons - name), r->section);
        len -= (size_t)(colons + 2 - name);
        name = colons + 2;
    }
    return !is_within || take_out(r, name, len)
           || consul_error_set(r->err, CONSUL_R_SETTING_INVALID,
                               "line %ld is without effect: for OpenSSL it is no row of [%s]; look "
                               "above it for a backslash at the end of a line, or an .include",
                               r->number, r->section);
}

/* NOLINTBEGIN(misc-no-recursion): each file around another one is open, and descriptors have a limit */

static int check_file(const reader *outer, const char *path);

/* Return true for a file of a folder that OpenSSL includes (get_next_file in its conf_def.c). */
static bool has_ending(const char *name)
{
    size_t len = strlen(name);

    return (len > 5 && strcasecmp(name + len - 5, ".conf") == 0)
           || (len > 4 && strcasecmp(name + len - 4, ".cnf") == 0);
}

static int check_folder(const reader *r, const char *path, DIR *folder)
{
    const struct dirent *entry;
    char name[PATH_MAX];
    int ok = 1;

    while (ok && (entry = readdir(folder)) != NULL) {
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        ok = !has_ending(entry->d_name) || check_file(r, name);
    }
    return ok;
}

/* Check the lines of an included file, or of each file of a folder. A reader takes them for lines of the section around. */
static int check_included(const reader *r, const char *path)
{
    DIR *folder = opendir(path);
    int ok;

    if (folder == NULL && errno == ENOTDIR)
        return check_file(r, path);
    if (folder == NULL)
        return consul_error_set(
            r->err, CONSUL_R_SETTING_INVALID,
            "OpenSSL passes over a folder that it cannot read, and a setting may "
            "be in it: %s: %s; make it readable for this user, or take the "
            ".include out",
            path, strerror(errno));
    ok = check_folder(r, path, folder);
    closedir(folder);
    return ok;
}

/*
 * Return the path of an .include, which ends in its line. NULL for a path with variables or quotes, or from the folder in
 * which the program runs.
 */
static const char *included_path(char *line)
{
    char *path = line + strcspn(line, BLANKS "=");
    size_t len;

    path += strspn(path, BLANKS);
    if (*path == '=')
        path += 1 + strspn(path + 1, BLANKS);
    for (len = strcspn(path, "#"); len > 0 && strchr(BLANKS, path[len - 1]) != NULL; len--)
        ;
    path[len] = '\0';
    return *path == '/' && strpbrk(path, "$\\\"'`") == NULL ? path : NULL;
}

/* Take a line that is for OpenSSL itself. */
static int take_directive(reader *r, char *line)
{
    const char *path;

    if (r->goes_on)
        return consul_error_set(r->err, CONSUL_R_SETTING_INVALID,
                                "line %ld is without effect: OpenSSL joins it to the text "
                                "before; take the backslash or the carriage return there out",
                                r->number);
    path = strncmp(line, ".include", 8) == 0 ? included_path(line) : NULL;
    return path == NULL || check_included(r, path);
}

/* Take a line, or a part of it that ends with a carriage return or a NUL byte. */
static int take(reader *r, char *line)
{
    line += strspn(line, BLANKS);
    if (*line == '[')
        return take_section(r, line);
    if (strncmp(line, ".include", 8) == 0 || strncmp(line, ".pragma", 7) == 0)
        return take_directive(r, line);
    return *line == '#' || take_row(r, line);
}

static bool ends_with_backslash(const char *line, size_t len)
{
    return len > 0 && line[len - 1] == '\\' && (len == 1 || line[len - 2] != '\\');
}

static int check(reader *r, FILE *stream, char **line, size_t *size)
{
    char *part, *end;
    bool has_nul;
    ssize_t len;

    for (r->number = 1; (len = getline(line, size, stream)) >= 0; r->number++) {
        while (len > 0 && ((*line)[len - 1] == '\n' || (*line)[len - 1] == '\r'))
            (*line)[--len] = '\0';
        has_nul = strlen(*line) < (size_t)len;
        part = *line + (r->number == 1 && strncmp(*line, BYTE_ORDER_MARK, 3) == 0 ? 3 : 0);
        for (; part <= *line + len; part = end + 1) {
            end = part + strcspn(part, "\r");
            *end = '\0';
            if (!take(r, part))
                return 0;
            r->goes_on = true; /* a carriage return and a NUL byte end no line for OpenSSL */
        }
        r->goes_on = has_nul || ends_with_backslash(*line, (size_t)len);
    }
    return feof(stream)
           || consul_error_set(r->err, CONSUL_R_OUT_OF_MEMORY, "the lines cannot be read");
}

/* Check the lines of a file, which begins in the section of the file around it. An irregular file is OpenSSL's alone to read. */
static int check_file(const reader *outer, const char *path)
{
    reader r = {.section = outer->section,
                .is_within = outer->is_within,
                .rows = outer->rows,
                .err = outer->err};
    bool is_included = outer->number > 0;
    const char *why = "";
    FILE *stream = consul_file_open(path, &why);
    char *line = NULL;
    size_t size = 0;
    int ok;

    if (stream == NULL)
        return (is_included && why == consul_file_is_irregular)
               || consul_error_set(r.err, CONSUL_R_OUT_OF_MEMORY,
                                   "%s: the lines cannot be read: %s", path, why);
    ok = check(&r, stream, &line, &size);
    if (line != NULL)
        OPENSSL_cleanse(line, size); /* a token may stand there */
    free(line);
    fclose(stream);
    return ok || (is_included && consul_error_prefix(r.err, "%s: ", path));
}

/* NOLINTEND(misc-no-recursion) */

/* Return the rows of a section in the order of their names, for sk_CONF_VALUE_free. NULL without memory. */
static STACK_OF(CONF_VALUE) *rows_by_name(const config_file *file, const char *section)
{
    STACK_OF(CONF_VALUE) *rows = sk_CONF_VALUE_dup(NCONF_get_section(file->conf, section));

    if (rows != NULL) {
        sk_CONF_VALUE_set_cmp_func(rows, compare_names);
        sk_CONF_VALUE_sort(rows);
    }
    return rows;
}

int config_lines_check(const config_file *file, const char *path, const char *section,
                       consul_error *err)
{
    reader r = {.section = section, .rows = rows_by_name(file, section), .err = err};
    int ok = r.rows == NULL ? consul_error_set(err, CONSUL_R_OUT_OF_MEMORY,
                                               "the lines cannot be read: no memory")
                            : check_file(&r, path);

    sk_CONF_VALUE_free(r.rows);
    return ok;
}
