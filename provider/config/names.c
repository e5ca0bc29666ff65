/* SPDX-License-Identifier: Apache-2.0 */
#include "config/names.h"

#include <string.h>

/* The words that OpenSSL itself understands in a provider's section, config(5). */
static const char *const openssl_words[] = {"module", "activate", "identity", "soft_load"};

#define OPENSSL_WORDS (sizeof(openssl_words) / sizeof(openssl_words[0]))

bool config_name_is_openssls(const char *name)
{
    size_t i;

    for (i = 0; i < OPENSSL_WORDS; i++) {
        if (strcmp(openssl_words[i], name) == 0)
            return true;
    }
    return false;
}

const consul_option *config_name_option(const char *name)
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

const char *config_name_nearest(const char *name)
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

const char *const config_deciding[CONFIG_DECIDING] = {"service", "inbound", "outbound",
                                                      "upstreams"};

bool config_name_is_deciding(const char *name)
{
    size_t i;

    for (i = 0; i < CONFIG_DECIDING; i++) {
        if (strcmp(config_deciding[i], name) == 0)
            return true;
    }
    return false;
}

bool config_name_is_builtin(const char *provider)
{
    return strcmp(provider, "default") == 0 || strcmp(provider, "base") == 0
           || strcmp(provider, "legacy") == 0 || strcmp(provider, "null") == 0
           || strcmp(provider, "fips") == 0;
}

/* Return true for a beginning of the module's name, too. The bytes before a dot count (module_find in OpenSSL's conf_mod.c). */
bool config_name_is_for(const char *row, const char *module)
{
    return strncmp(module, row, strcspn(row, ".")) == 0;
}
