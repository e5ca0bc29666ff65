/* SPDX-License-Identifier: Apache-2.0 */
/* The links of the token, of the leaf that it gives, and of the intentions of the service. As check/chain.h says. */
#ifndef CLI_CHECK_SERVICE_H
#define CLI_CHECK_SERVICE_H

#include "check/chain.h"

bool cli_check_token(cli_chain *chain);
bool cli_check_leaf(cli_chain *chain);
bool cli_check_intentions(cli_chain *chain);

#endif
