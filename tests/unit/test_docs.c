/* SPDX-License-Identifier: Apache-2.0 */
/* Test that doc/settings.md and openssl.cnf.example have each setting of the option table, its variable and its default. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

/* Return the whole of a file of the source tree, which the caller frees. */
static char *read_file(const char *name)
{
    char path[4096], *text = malloc(1 << 20);
    FILE *file;
    size_t len;

    assert_non_null(text);
    snprintf(path, sizeof(path), "%s/%s", SOURCE_ROOT, name);
    file = fopen(path, "r");
    assert_non_null(file);
    len = fread(text, 1, (1 << 20) - 1, file);
    text[len] = '\0';
    fclose(file);
    return text;
}

/* Return how many lines of a text begin with some characters. */
static size_t count_lines(const char *text, const char *start)
{
    size_t count = 0;

    while (text != NULL) {
        count += strncmp(text, start, strlen(start)) == 0;
        text = strchr(text, '\n');
        text += text != NULL;
    }
    return count;
}

/* Write a value as a cell of a table shows it. */
static void quote(char *to, size_t size, const char *value)
{
    snprintf(to, size, value == NULL ? "%s" : "`%s`", value == NULL ? "" : value);
}

/* The meaning in the last column is for people: no test compares it. */
static void test_page_has_each_row_and_no_other(void **state)
{
    char *text = read_file("doc/settings.md"), row[1024], env[128], value[128];
    char *end;
    char *table = strstr(text, "| setting | environment |");
    const consul_option *option;
    size_t rows = 0;

    assert_non_null(table);
    end = strstr(table, "\n\n");
    assert_non_null(end);
    *end = '\0';
    for (option = consul_options; option->name != NULL; option++, rows++) {
        quote(env, sizeof(env), option->env);
        quote(value, sizeof(value), option->default_value);
        snprintf(row, sizeof(row), "\n| `%s` | %s | %s | ", option->name, env, value);
        assert_contains(table, row);
        assert_true(strstr(table, row)[strlen(row)] != '|');
    }
    assert_int_equal(count_lines(table, "| `"), rows);
    free(text);
}

static void test_example_has_each_setting_and_no_other(void **state)
{
    char *text = read_file("openssl.cnf.example"), entry[1024];
    char *section = strstr(text, "[consul_sect]");
    const consul_option *option;
    size_t entries = 0;

    assert_non_null(section);
    assert_null(strstr(section, "\n[")); /* the last, so that appended lines belong to it */
    for (option = consul_options; option->name != NULL; option++, entries++) {
        const char *value = option->default_value;

        snprintf(entry, sizeof(entry), "\n# (%s%s%sdefault: %s)\n#%s = %s",
                 option->env == NULL ? "" : "environment: ", option->env == NULL ? "" : option->env,
                 option->env == NULL ? "" : "; ", value == NULL ? "none" : value, option->name,
                 value == NULL ? "" : value);
        assert_contains(section, entry);
    }
    /* "#name = " is a setting, "# text" is a comment */
    assert_int_equal(count_lines(section, "#") - count_lines(section, "# "), entries);
    free(text);
}

/* The beginning of the names that the lookup leaves out: a login and a token contradict each other. */
static const char *left_out;

/* Return the value that the example shows for a setting, as the provider would look it up. */
static const char *lookup_in_example(const char *name, void *arg)
{
    static char value[256];
    char start[128];
    const char *line;
    size_t len;

    if (strcmp(name, "tls") == 0) /* the default, which contradicts the other settings */
        return "yes";
    snprintf(start, sizeof(start), "\n#%s = ", name);
    line = strstr(arg, start);
    if (line == NULL || strncmp(name, left_out, strlen(left_out)) == 0
        || strcmp(name, "upstreams") == 0) /* the name of a section */
        return NULL;
    line += strlen(start);
    len = strcspn(line, "\n");
    assert_between(len, 1, sizeof(value) - 1);
    memcpy(value, line, len);
    value[len] = '\0';
    assert_string_not_equal(value, "default"); /* a section of each file */
    return value;
}

static void test_values_of_the_example_are_accepted(void **state)
{
    char *text = read_file("openssl.cnf.example");
    static const char *const either[] = {"login_", "token"};
    consul_error err = {0};
    consul_settings *settings;
    size_t i;

    for (i = 0; i < 2; i++) {
        left_out = either[i];
        settings = consul_settings_new(lookup_in_example, text, &err);
        assert_string_equal(err.text, "");
        assert_non_null(settings);
        assert_string_equal(settings->service, "web");
        assert_int_equal(settings->login_method != NULL, i == 1);
        consul_settings_free(settings);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_has_each_row_and_no_other),
        cmocka_unit_test(test_example_has_each_setting_and_no_other),
        cmocka_unit_test(test_values_of_the_example_are_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
