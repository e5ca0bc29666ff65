/* SPDX-License-Identifier: Apache-2.0 */
/* The links of the settings, of the agent, of its clock, and of its roots. As check/chain.h says. */
#ifndef CLI_CHECK_AGENT_H
#define CLI_CHECK_AGENT_H

#include "check/chain.h"

bool cli_check_settings(cli_chain *chain);
bool cli_check_agent(cli_chain *chain);
bool cli_check_clock(cli_chain *chain);
bool cli_check_roots(cli_chain *chain);

#endif
