/* SPDX-License-Identifier: Apache-2.0 */
/* The link of the module: it loads into a program. As check/chain.h says. */
#ifndef CLI_CHECK_MODULE_H
#define CLI_CHECK_MODULE_H

#include "check/chain.h"

bool cli_check_module(cli_chain *chain);

#endif
