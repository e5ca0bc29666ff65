/* SPDX-License-Identifier: Apache-2.0 */
/* The links of a handshake within this host, and of the listener at HOST:PORT. As check/chain.h says. */
#ifndef CLI_CHECK_HANDSHAKE_H
#define CLI_CHECK_HANDSHAKE_H

#include "check/chain.h"

bool cli_check_handshake(cli_chain *chain);
bool cli_check_listener(cli_chain *chain);

#endif
