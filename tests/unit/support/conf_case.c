/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_case.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/store.h>

#include "config_file.h"
#include "store.h"

void conf_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    const char *place;

    assert_non_null(file);
    for (; (place = strstr(text, "MODULE")) != NULL; text = place + 6)
        fprintf(file, "%.*s%s", (int)(place - text), text, module_path());
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

void conf_collect(OSSL_LIB_CTX *libctx, const char *uri, char *errors, size_t size)
{
    const char *data;
    int flags;

    ERR_clear_error();
    assert_null(OSSL_STORE_open_ex(uri, libctx, NULL, NULL, NULL, NULL, NULL, NULL));
    *errors = '\0';
    while (ERR_get_error_all(NULL, NULL, NULL, &data, &flags) != 0) {
        if ((flags & ERR_TXT_STRING) != 0)
            snprintf(errors + strlen(errors), size - strlen(errors), "%s\n", data);
    }
}

void conf_load_into(OSSL_LIB_CTX *libctx, const char *path, const char *uri, char *errors,
                    size_t size)
{
    ERR_clear_error();
    (void)OSSL_LIB_CTX_load_config(libctx, path);
    conf_collect(libctx, uri, errors, size);
}

void conf_load(const char *path, const char *uri, char *errors, size_t size)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();

    assert_non_null(libctx);
    conf_load_into(libctx, path, uri, errors, size);
    OSSL_LIB_CTX_free(libctx);
}

struct conf_place conf_place;

void conf_check(const char *text, const char *words)
{
    char errors[4096];

    conf_write(conf_place.path, text);
    conf_load(conf_place.path, words == NULL ? "consul://nothing" : "consul://roots", errors,
              sizeof(errors));
    if (strstr(errors, words == NULL ? "consul:leaf/<service>" : words) == NULL
        || (words != NULL && strstr(errors, conf_place.path) == NULL))
        fail_msg("%s\n--- gave: %s\n--- and not: %s", text, errors, words == NULL ? "" : words);
}

int conf_set_up(void **state)
{
    const consul_option *option;

    for (option = consul_options; option->name != NULL; option++) {
        if (option->env != NULL)
            unsetenv(option->env);
    }
    strcpy(conf_place.folder, "/tmp/consul-test-XXXXXX");
    if (mkdtemp(conf_place.folder) == NULL)
        return 1;
    snprintf(conf_place.path, sizeof(conf_place.path), "%s/openssl.cnf", conf_place.folder);
    snprintf(conf_place.included, sizeof(conf_place.included), "%s/included.cnf",
             conf_place.folder);
    setenv("CONSUL_TEST_EMPTY", "", 1);
    setenv("OPENSSL_CONF", conf_place.path, 1);
    return 0;
}

int conf_tear_down(void **state)
{
    unlink(conf_place.path);
    return rmdir(conf_place.folder);
}
