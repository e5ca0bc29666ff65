/* SPDX-License-Identifier: Apache-2.0 */
/* Another process of this host, as /proc shows it. One thread. */
#ifndef CLI_COMMON_PROCESS_H
#define CLI_COMMON_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#define CLI_MAPPED_MAX 256

/* The files that a process maps to run, each once. Free it with cli_process_close. */
typedef struct cli_process {
    long pid;
    char *environment; /* its variables, each with a NUL; NULL where it cannot be read */
    size_t environment_len;
    char *paths[CLI_MAPPED_MAX]; /* as the process sees them */
    size_t count;
    bool is_cut;  /* there are more */
    bool is_ours; /* of this user and of this mount namespace: its environment is to be trusted */
    char why[256];
} cli_process;

/* Read a process; false with `why` where it is missing, or another user's. */
bool cli_process_open(cli_process *process, long pid);
void cli_process_close(cli_process *process);

/* Return the value of an environment variable at its start, or NULL. */
const char *cli_process_variable(const cli_process *process, const char *name);

/* Return true where a file that it maps has these bytes in its first 256 MB. */
bool cli_process_file_has(const cli_process *process, const char *path, const char *bytes);

#endif
