/* SPDX-License-Identifier: Apache-2.0 */
/* The files that the settings name. A FIFO or a device may keep its reader waiting without end. Any thread. */
#ifndef CONSUL_BASE_FILE_H
#define CONSUL_BASE_FILE_H

#include <stdbool.h>
#include <stdio.h>

/* The reason for which a path is refused that leads to no regular file. */
extern const char consul_file_is_irregular[];

/*
 * Open a regular file to read it, also by a link. The call waits for no other process. Return NULL and the reason in
 * `why` otherwise. fclose closes the file.
 */
FILE *consul_file_open(const char *path, const char **why);

/* Return true for a path that leads to a regular file, or to no file. */
bool consul_file_is_regular(const char *path);

#endif
