/* SPDX-License-Identifier: Apache-2.0 */
/* The openssl.cnf of a program, and the provider's section in it. One thread. */
#ifndef CLI_COMMON_CONF_H
#define CLI_COMMON_CONF_H

#include "base/settings.h"
#include "config/file.h"

#include <stdbool.h>

#define CLI_PROVIDER "consul"

/*
 * A file, and the way through it to the section of the provider. A field is NULL where the way ends
 * before it. All fields are borrowed from the file.
 */
typedef struct cli_conf {
    char *path; /* owned */
    const char *application;
    config_file file;
    bool is_read;
    const char *init;      /* the section that `openssl_conf` names */
    const char *providers; /* the section that `providers` names there */
    const char *section;   /* the section of the provider */
} cli_conf;

/*
 * Read a file; NULL for the one that OPENSSL_CONF names, or OpenSSL's default one. `application` is the
 * row above all sections where a program begins; NULL for openssl_conf. OPENSSL_CONF names the file
 * from here on. A file that cannot be read is not an error. Close it in any case.
 */
int cli_conf_open(cli_conf *conf, const char *path, const char *application, consul_error *err);
void cli_conf_close(cli_conf *conf);

/* Return a row of a section, or NULL. Borrowed from the file. */
const char *cli_conf_value(const cli_conf *conf, const char *section, const char *name);

/*
 * Return the settings by the file and the environment, held to the provider's own checks; by the
 * environment alone where the file has no section of the provider. NULL on an error.
 */
consul_settings *cli_conf_settings(const cli_conf *conf, consul_error *err);

#endif
