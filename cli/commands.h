/* SPDX-License-Identifier: Apache-2.0 */
/* The commands. Each prints its result, and returns 0 with an error otherwise. One thread. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "common/arguments.h"

/* Print an openssl.cnf for a service, or for stand-ins without one. Operands: [SERVICE] [NAME=VALUE...] */
int cli_config(const cli_arguments *arguments, consul_error *err);

/* Write the two files of a stand-in. Operands: SERVICE [FOLDER] */
int cli_stand_in(const cli_arguments *arguments, consul_error *err);

/* Print what the agent has for a service, and never a private key. Operands: WHAT [SERVICE] */
int cli_show(const cli_arguments *arguments, consul_error *err);

/* Enter services into the catalog, and take them out. Operand: FILE or SERVICE */
int cli_register(const cli_arguments *arguments, consul_error *err);
int cli_deregister(const cli_arguments *arguments, consul_error *err);

/* Print what the processes of this host show, or one of them. Operand of status: [PID] */
int cli_status(const cli_arguments *arguments, consul_error *err);
int cli_metrics(const cli_arguments *arguments, consul_error *err);

#endif
