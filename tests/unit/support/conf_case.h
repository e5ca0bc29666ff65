/* SPDX-License-Identifier: Apache-2.0 */
/* Whole texts of openssl.cnf for tests, as the default file and as others. Every failure fails the test. One thread. */
#ifndef CONSUL_TEST_CONF_CASE_H
#define CONSUL_TEST_CONF_CASE_H

#include <stddef.h>

#include <openssl/types.h>

#define HEAD                                                \
    "openssl_conf = openssl_init\n"                         \
    "[openssl_init]\nproviders = providers\n"               \
    "[providers]\ndefault = default_section\nconsul = us\n" \
    "[default_section]\nactivate = 1\n"
#define US "[us]\nmodule = MODULE\nactivate = 1\nlog = off\n"
#define ROWS HEAD US "upstreams = rows\n[rows]\n"

/* The default file of this process, another file beside it, and their folder. Neither is there at first. */
extern struct conf_place {
    char folder[64], path[128], included[128];
} conf_place;

/* Write `text` with the module's path in place of MODULE. */
void conf_write(const char *path, const char *text);

/* Collect the provider's errors when it is asked for something. */
void conf_collect(OSSL_LIB_CTX *libctx, const char *uri, char *errors, size_t size);

/* Load that file, and collect the provider's errors. */
void conf_load_into(OSSL_LIB_CTX *libctx, const char *path, const char *uri, char *errors,
                    size_t size);

/* Likewise into a context of its own. */
void conf_load(const char *path, const char *uri, char *errors, size_t size);

/* Check that the text is refused with these words and the file's name, or is good for NULL. */
void conf_check(const char *text, const char *words);

/* Make the folder, and take it away. For a group of tests. */
int conf_set_up(void **state);
int conf_tear_down(void **state);

#endif
