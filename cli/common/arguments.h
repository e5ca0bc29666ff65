/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments of a command: options in any order, and operands. One thread. */
#ifndef CLI_COMMON_ARGUMENTS_H
#define CLI_COMMON_ARGUMENTS_H

#include "base/error.h"

#include <stddef.h>

#define CLI_ARGUMENTS_MAX 64
#define CLI_HOST_MAX 256

/* Borrowed from argv. */
typedef struct cli_arguments {
    const char *names[CLI_ARGUMENTS_MAX], *values[CLI_ARGUMENTS_MAX];
    size_t options; /* the count of both above */
    const char *operands[CLI_ARGUMENTS_MAX];
    size_t count; /* of the operands */
} cli_arguments;

/*
 * Sort the arguments of a command. `allowed` lists its options between spaces, as in " config= pem ".
 * An option with = takes a value. Returns 0 for any other option.
 */
int cli_arguments_parse(cli_arguments *arguments, const char *allowed, int argc, char **argv,
                        consul_error *err);

/* Return the value of an option, "" for one without a value, or NULL where it is not given. */
const char *cli_option(const cli_arguments *arguments, const char *name);

/* Read a number of 1 to `most`; 0 for anything else. */
long cli_number(const char *text, long most);

/*
 * Split HOST:PORT, or [HOST]:PORT with an address of IPv6. Return the port, borrowed; NULL for another form.
 */
const char *cli_split_address(const char *address, char host[CLI_HOST_MAX]);

#endif
