/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openssl.cnf as OpenSSL reads it, with includes and variables, and the rows that OpenSSL drops.
 * One thread uses it, in provider init. Nothing here asks for OpenSSL's configuration, which is locked.
 */
#ifndef PROV_CONFIG_FILE_H
#define PROV_CONFIG_FILE_H

#include "store.h"

#include <stdbool.h>

#include <openssl/conf.h>

typedef struct config_file {
    CONF *conf;
    STACK_OF(OPENSSL_STRING) *twice; /* "[section] name" of each row that another one replaced */
    char passed_over[512]; /* OpenSSL's error about an include that it could not open, or empty */
    bool is_short;         /* of rows: memory or descriptors were short */
} config_file;

/* Read a file. Returns 0 where OpenSSL cannot read it either. Close it in both cases. */
int config_file_read(config_file *file, const char *path);
void config_file_close(config_file *file);

/* Return the name of a row that this section has more than once, or NULL. Borrowed from the file. */
const char *config_file_twice(const config_file *file, const char *section);

/* Return the value of a row that this one has replaced, the first by 0; or NULL. Borrowed from the file. */
const char *config_file_replaced(const config_file *file, const CONF_VALUE *row, int which);

/*
 * Return the value of a row of this section, or NULL. Borrowed from the file. NCONF_get_string looks above all sections,
 * too, and a provider's section is not read that way.
 */
const char *config_file_value(const config_file *file, const char *section, const char *name);

/* Return the name of the provider that a row in a list of providers is for. Borrowed from the file. */
const char *config_file_provider(const config_file *file, const CONF_VALUE *row);

/* Call a function with every row, of any section. The first 0 ends it, and is returned. */
typedef int config_file_fn(const CONF_VALUE *row, void *arg);
int config_file_each(const config_file *file, config_file_fn *each, void *arg);

/* Set the error that a row is refused, for the reason `text` and then `about`. Returns 0. */
int config_file_refuse(consul_error *err, const char *section, const char *name, const char *text,
                       const char *about);

#endif
