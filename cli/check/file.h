/* SPDX-License-Identifier: Apache-2.0 */
/* The links of the file, and of the way in it to an active section. As check/chain.h says. */
#ifndef CLI_CHECK_FILE_H
#define CLI_CHECK_FILE_H

#include "check/chain.h"

bool cli_check_file(cli_chain *chain);
bool cli_check_section(cli_chain *chain);

#endif
