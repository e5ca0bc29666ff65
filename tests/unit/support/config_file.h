/* SPDX-License-Identifier: Apache-2.0 */
/* openssl.cnf files for tests, each in a folder of its own. Every failure fails the test. */
#ifndef CONSUL_TEST_CONFIG_FILE_H
#define CONSUL_TEST_CONFIG_FILE_H

typedef struct config_file {
    char folder[64];
    char path[128];
} config_file;

/*
 * Write a file that activates the default provider and the module under test. The module's section
 * has `settings` (lines of name = value), and `more` (or NULL) stands after it.
 * Without a log in `settings` the log is off, as tests do not write to the syslog of their host.
 */
config_file config_file_write(const char *settings, const char *more);
void config_file_remove(const config_file *file);

/* Return the path of the module under test; borrowed. */
const char *module_path(void);

#endif
