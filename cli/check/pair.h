/* SPDX-License-Identifier: Apache-2.0 */
/* The link of a stand-in: both of its files are there and belong together. As check/chain.h says. */
#ifndef CLI_CHECK_PAIR_H
#define CLI_CHECK_PAIR_H

#include "check/chain.h"

bool cli_check_pair(cli_chain *chain);

#endif
