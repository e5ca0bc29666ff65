/* SPDX-License-Identifier: Apache-2.0 */
#include "common/arguments.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Return true where the list has the option with that ending: "=" or a space. */
static bool is_allowed(const char *allowed, const char *name, size_t len, char ending)
{
    const char *p = allowed;

    while ((p = strchr(p, ' ')) != NULL) {
        p++;
        if (strncmp(p, name, len) == 0 && p[len] == ending)
            return true;
    }
    return false;
}

/* Take one option at *argv, and its value after it. */
static int take_option(cli_arguments *arguments, const char *allowed, char ***argv,
                       consul_error *err)
{
    const char *name = **argv + 2, *equals = strchr(name, '='), *value = "";
    size_t len = equals == NULL ? strlen(name) : (size_t)(equals - name);

    if (is_allowed(allowed, name, len, '=')) {
        value = equals != NULL ? equals + 1 : *++*argv;
        if (value == NULL)
            return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                    "the option --%s has no value: write one after it", name);
    } else if (equals != NULL || !is_allowed(allowed, name, len, ' ')) {
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "the command has no option --%.*s: see consul-tls(1)", (int)len,
                                name);
    }
    arguments->names[arguments->options] = name;
    arguments->values[arguments->options++] = value;
    return 1;
}

int cli_arguments_parse(cli_arguments *arguments, const char *allowed, int argc, char **argv,
                        consul_error *err)
{
    bool options_end = false;

    memset(arguments, 0, sizeof(*arguments));
    if (argc > CLI_ARGUMENTS_MAX)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "the command has more than %d arguments: leave some out",
                                CLI_ARGUMENTS_MAX);
    for (; *argv != NULL; argv++) {
        if (options_end || strncmp(*argv, "--", 2) != 0)
            arguments->operands[arguments->count++] = *argv;
        else if ((*argv)[2] == '\0')
            options_end = true;
        else if (!take_option(arguments, allowed, &argv, err))
            return 0;
    }
    return 1;
}

const char *cli_option(const cli_arguments *arguments, const char *name)
{
    size_t len = strlen(name), i = arguments->options;

    while (i-- > 0) {
        const char *given = arguments->names[i];

        if (strncmp(given, name, len) == 0 && (given[len] == '\0' || given[len] == '='))
            return arguments->values[i];
    }
    return NULL;
}

long cli_number(const char *text, long most)
{
    char *end;
    long number;

    if (*text < '0' || *text > '9')
        return 0;
    errno = 0;
    number = strtol(text, &end, 10);
    return errno != 0 || *end != '\0' || number > most ? 0 : number;
}

const char *cli_split_address(const char *address, char host[CLI_HOST_MAX])
{
    const char *colon = strrchr(address, ':');
    size_t len;

    if (colon == NULL || colon == address || (size_t)(colon - address) >= CLI_HOST_MAX)
        return NULL;
    len = (size_t)(colon - address);
    if (*address == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    snprintf(host, CLI_HOST_MAX, "%.*s", (int)len, address);
    return colon + 1;
}
