/* SPDX-License-Identifier: Apache-2.0 */
#include "config_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *module_path(void)
{
    const char *path = getenv("CONSUL_TEST_MODULE");

    if (path == NULL) {
        fprintf(stderr, "CONSUL_TEST_MODULE names no module\n");
        abort();
    }
    return path;
}

config_file config_file_write(const char *settings, const char *more)
{
    config_file file = {.folder = "/tmp/consul-test-XXXXXX"};
    FILE *stream;

    if (mkdtemp(file.folder) == NULL) {
        perror("mkdtemp");
        abort();
    }
    snprintf(file.path, sizeof(file.path), "%s/openssl.cnf", file.folder);
    stream = fopen(file.path, "w");
    if (stream == NULL
        || fprintf(stream,
                   "openssl_conf = openssl_init\n"
                   "[openssl_init]\nproviders = providers\n"
                   "[providers]\ndefault = default_section\nconsul = consul_section\n"
                   "[default_section]\nactivate = 1\n"
                   "[consul_section]\nmodule = %s\nactivate = 1\n%s%s\n%s\n",
                   module_path(), strstr(settings, "log = ") == NULL ? "log = off\n" : "", settings,
                   more == NULL ? "" : more)
               < 0
        || fclose(stream) != 0) {
        perror(file.path);
        abort();
    }
    return file;
}

void config_file_remove(const config_file *file)
{
    unlink(file->path);
    rmdir(file->folder);
}
