/* SPDX-License-Identifier: Apache-2.0 */
/* A step of the check as another user, in a child process. One thread. */
#ifndef CLI_CHECK_AS_USER_H
#define CLI_CHECK_AS_USER_H

#include <stddef.h>

/* Do the step; write what went wrong to `text`, or leave it empty. */
typedef void cli_step_fn(const char *path, char *text, size_t size);

/*
 * Do a step in a child process, as this user, or as the caller for NULL. `text` has the outcome, which is
 * empty for success.
 */
void cli_as_user(const char *user, cli_step_fn *step, const char *path, char *text, size_t size);

#endif
