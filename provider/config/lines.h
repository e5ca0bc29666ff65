/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of openssl.cnf, as a reader sees them. In provider init. */
#ifndef PROV_CONFIG_LINES_H
#define PROV_CONFIG_LINES_H

#include "config/file.h"
#include "store.h"

/*
 * Refuse a line that reads as a row of this section, where OpenSSL has no such row. It may be joined to the line before, or
 * an included file has begun another section. Files and folders of an .include are looked at, too, where it has an absolute path
 * without a variable. A folder that cannot be read is refused. Returns 1, or 0 with the error.
 */
int config_lines_check(const config_file *file, const char *path, const char *section,
                       consul_error *err);

#endif
