/*
 * openssl.cnf as OpenSSL reads it, with includes and variables, and what OpenSSL does not tell of it.
 * Used by one thread, in provider init; nothing here asks for OpenSSL's configuration.
 */
#ifndef CONSUL_PROVIDER_CONFIG_FILE_H
#define CONSUL_PROVIDER_CONFIG_FILE_H

#include <stdbool.h>

#include <openssl/conf.h>

typedef struct config_file {
    CONF *conf;
    STACK_OF(OPENSSL_STRING) *twice; /* "[section] name" of each row that another one replaced */
} config_file;

/* Read a file. 0 where OpenSSL can not either. Close it in both cases. */
int config_file_read(config_file *file, const char *path);
void config_file_close(config_file *file);

/* The name of a row that stands in this section more than once, or NULL. Borrowed from the file. */
const char *config_file_twice(const config_file *file, const char *section);

/* Call this with the value of every row of that name, in whatever section, until one returns 0. */
typedef int config_file_fn(const char *value, void *arg);
int config_file_each(const config_file *file, const char *name, config_file_fn *each, void *arg);

#endif
