/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings that the load does not show. They are misspelt, in a file that may be another one than OpenSSL's default file. Or they
 * come after the load. The provider finds them when the process uses it. A child has each case, as OpenSSL's default context
 * keeps a provider.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include "conf_case.h"
#include "config_file.h"
#include "instance/instances.h"
#include "tls.h"

static const char *words = "servcie: there is no such setting; the nearest is service";
static char log_path[160];

/* Load the other file into OpenSSL's default context. Its section has the second row more than that of the default file. */
static void load_beside(const char *common, const char *row)
{
    char text[1024];

    snprintf(text, sizeof(text),
             HEAD "[us]\nmodule = MODULE\nactivate = 1\nlog = %s\nlog_format = json\n%s", log_path,
             common);
    conf_write(conf_place.path, text);
    strncat(text, row, sizeof(text) - strlen(text) - 1);
    conf_write(conf_place.included, text);
    assert_int_equal(OSSL_LIB_CTX_load_config(NULL, conf_place.included), 1);
}

static void load(const char *row)
{
    load_beside("", row);
}

/* Count the lines about refused settings in the log. */
static int logged(void)
{
    char line[2048];
    int count = 0;
    FILE *file = fopen(log_path, "r");

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strstr(line, "configuration_refused") != NULL) {
            assert_non_null(strstr(line, words));
            count++;
        }
    }
    fclose(file);
    return count;
}

/* Check that a server that starts gets no certificate into its SSL_CTX, and can show why. */
static void assert_refuses(void)
{
    minted site = mint(NULL, (mint_order){.subject = "site"});
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    char errors[4096] = "";

    assert_non_null(ctx);
    ERR_clear_error();
    assert_int_not_equal(SSL_CTX_use_certificate(ctx, site.cert), 1);
    tls_take_errors(errors, sizeof(errors));
    assert_contains(errors, words);
    SSL_CTX_free(ctx);
    minted_free(&site);
}

static void assert_talks(void)
{
    minted site = mint(NULL, (mint_order){.subject = "site"});
    SSL_CTX *server = tls_ctx(TLS1_3_VERSION, &site), *client = tls_ctx(TLS1_3_VERSION, NULL);
    tls_outcome outcome = tls_connect(client, server);

    assert_talked("no slip", &outcome);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    minted_free(&site);
}

static void by_tls(void)
{
    int i;

    load("servcie = web\n");
    assert_int_equal(logged(), 0); /* a program without TLS does not pay for it */
    for (i = 0; i < 2; i++)
        SSL_CTX_free(SSL_CTX_new(TLS_method()));
    assert_int_equal(logged(), 1);
    assert_refuses();
}

static void of_a_service(void)
{
    words = "outbuond: there is no such setting; the nearest is outbound";
    load_beside("address = 127.0.0.1:1\nservice = web\n", "outbuond = require\n");
    assert_int_equal(logged(), 0);
    assert_refuses();
}

static void by_a_uri(void)
{
    char errors[4096];

    load("servcie = web\n");
    conf_collect(NULL, "consul://roots", errors, sizeof(errors));
    assert_contains(errors, words);
    assert_int_equal(logged(), 1);
    assert_refuses();
}

static int is_in_order(OSSL_PROVIDER *provider)
{
    int status = -1;
    OSSL_PARAM params[] = {
        OSSL_PARAM_int(OSSL_PROV_PARAM_STATUS, &status),
        OSSL_PARAM_END,
    };

    assert_int_equal(OSSL_PROVIDER_get_params(provider, params), 1);
    return status;
}

static void by_its_status(void)
{
    OSSL_PROVIDER *provider;

    load("servcie = web\n");
    provider = OSSL_PROVIDER_load(NULL, "consul");
    assert_non_null(provider);
    assert_int_equal(is_in_order(provider), 0);
    assert_int_equal(logged(), 1);
}

static void without_a_slip(void)
{
    load("");
    assert_talks();
    assert_int_equal(logged(), 0);
}

#define SECTION "openssl_conf = a\n[a]\nproviders = b\n[b]\nconsul = c\n[c]\nlog = off\n"

static void write_section(const char *rows)
{
    char text[256];

    snprintf(text, sizeof(text), SECTION "%s", rows);
    conf_write(conf_place.included, text);
}

/* Load the provider into a library context, as a program does by itself. NULL where there are too many. */
static OSSL_PROVIDER *try_to_load(OSSL_LIB_CTX *libctx)
{
    char folder[1024];

    snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(module_path(), '/') - module_path()),
             module_path());
    assert_int_equal(OSSL_PROVIDER_set_default_search_path(libctx, folder), 1);
    return OSSL_PROVIDER_load(libctx, "consul");
}

static OSSL_PROVIDER *load_by_program(OSSL_LIB_CTX *libctx)
{
    OSSL_PROVIDER *provider = try_to_load(libctx);

    assert_non_null(provider);
    return provider;
}

/* Load it likewise, with a section that has no row `activate`. */
static OSSL_PROVIDER *load_with_section(OSSL_LIB_CTX *libctx)
{
    write_section("servcie = web\n");
    assert_int_equal(OSSL_LIB_CTX_load_config(libctx, conf_place.included), 1);
    return load_by_program(libctx);
}

static void load_and_unload(bool is_used)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *provider = load_with_section(libctx);

    if (is_used)
        assert_refuses();
    assert_int_equal(OSSL_PROVIDER_unload(provider), 1);
    OSSL_LIB_CTX_free(libctx);
    assert_refuses();
}

static void by_the_unload(void)
{
    load_and_unload(false);
}

static void by_tls_and_unloaded(void)
{
    load_and_unload(true);
}

static void of_one_too_many(void)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    int i;

    for (i = 0; i < PROV_INSTANCES_MAX; i++)
        load_by_program(OSSL_LIB_CTX_new());
    write_section("servcie = web\n");
    assert_int_equal(OSSL_LIB_CTX_load_config(libctx, conf_place.included), 1);
    assert_null(try_to_load(libctx));
    assert_refuses();
}

/*
 * Pin what OpenSSL does with a section of a provider that a file has activated already in this library context. It passes over
 * the section, and does not tell the provider (doc/settings.md).
 */
static void by_a_second_file(void)
{
    load("");
    write_section("activate = 1\nservice = web\n");
    assert_int_equal(OSSL_LIB_CTX_load_config(NULL, conf_place.included), 1);
    assert_talks();
}

static void by_a_section_after_the_load(void)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();

    load("");
    load_by_program(libctx);
    assert_talks();
    words = "inbound = require was set when the provider \"consul\" was loaded already";
    write_section("activate = 1\ninbound = require\n");
    assert_int_equal(OSSL_LIB_CTX_load_config(libctx, conf_place.included), 1);
    assert_refuses();
}

static void by_the_unload_after_a_section(void)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *provider = load_by_program(libctx);

    words = "inbound = require was set when the provider \"consul\" was loaded already";
    write_section("activate = 1\ninbound = require\n");
    assert_int_equal(OSSL_LIB_CTX_load_config(libctx, conf_place.included), 1);
    assert_int_equal(OSSL_PROVIDER_unload(provider), 1);
    OSSL_LIB_CTX_free(libctx);
    assert_refuses();
}

static void after_tls(void)
{
    load("");
    assert_talks();
    load_with_section(OSSL_LIB_CTX_new());
    assert_refuses();
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"TLS", by_tls},
    {"a service", of_a_service},
    {"a URI", by_a_uri},
    {"the status", by_its_status},
    {"no slip", without_a_slip},
    {"the unload", by_the_unload},
    {"TLS, and unloaded", by_tls_and_unloaded},
    {"one too many", of_one_too_many},
    {"a second file", by_a_second_file},
    {"a section after the load", by_a_section_after_the_load},
    {"the unload, and a section after the load", by_the_unload_after_a_section},
    {"a load after TLS", after_tls},
};

static void test_after_load(void **state)
{
    size_t i;
    int status;
    pid_t pid;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unlink(log_path);
        assert_true((pid = fork()) >= 0);
        if (pid == 0) {
            cases[i].run();
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status != 0)
            fail_msg("%s: %d", cases[i].name, status);
    }
    unlink(log_path);
    unlink(conf_place.included);
}

static int set_up(void **state)
{
    int failed = conf_set_up(state);

    snprintf(log_path, sizeof(log_path), "%s/log", conf_place.folder);
    return failed;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_after_load)};

    /* The process's own configuration has no part here. */
    setenv("OPENSSL_CONF", "/dev/null", 1);
    OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
    return cmocka_run_group_tests(tests, set_up, conf_tear_down);
}
