/* SPDX-License-Identifier: Apache-2.0 */
/* The command check. */
#ifndef CLI_CHECK_CHECK_H
#define CLI_CHECK_CHECK_H

#include "common/arguments.h"

/* Walk the chain and print it. Return 0, without an error, where a link is broken. One thread. */
int cli_check(const cli_arguments *arguments, consul_error *err);

#endif
