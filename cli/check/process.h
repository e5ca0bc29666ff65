/* SPDX-License-Identifier: Apache-2.0 */
/* The link of a process: it maps the module, and no other OpenSSL. As check/chain.h says. */
#ifndef CLI_CHECK_PROCESS_H
#define CLI_CHECK_PROCESS_H

#include "check/chain.h"

bool cli_check_process(cli_chain *chain);

#endif
