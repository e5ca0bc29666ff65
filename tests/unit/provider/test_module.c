/* SPDX-License-Identifier: Apache-2.0 */
/* The module in OpenSSL's hands: loading, configuring, unloading; no agent is asked anything. */
#include "unit.h"

#include <dlfcn.h>
#include <libgen.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <openssl/store.h>

#include "config_file.h"
#include "store.h"

/* ---- libcrypto's memory, of which the provider's is a part ---- */

static atomic_long blocks; /* in use */

static void *counting_malloc(size_t size, const char *file, int line)
{
    void *block = malloc(size);

    atomic_fetch_add(&blocks, block != NULL);
    return block;
}

static void *counting_realloc(void *old, size_t size, const char *file, int line)
{
    void *block = realloc(old, size);

    atomic_fetch_add(&blocks, old == NULL && block != NULL);
    return block;
}

static void counting_free(void *block, const char *file, int line)
{
    atomic_fetch_sub(&blocks, block != NULL);
    free(block);
}

/* ---- instances ---- */

/* A library context with a module in it; unload both with unload. */
typedef struct loaded {
    OSSL_LIB_CTX *libctx;
    OSSL_PROVIDER *provider;
} loaded;

static int try_load(OSSL_LIB_CTX *libctx, OSSL_PROVIDER **provider)
{
    char *folder = strdup(module_path());
    int ok;

    assert_non_null(folder);
    ok = OSSL_PROVIDER_set_default_search_path(libctx, dirname(folder));
    assert_true(ok);
    free(folder);
    *provider = OSSL_PROVIDER_load(libctx, "consul");
    return *provider != NULL;
}

static loaded load(void)
{
    loaded one = {.libctx = OSSL_LIB_CTX_new()};

    assert_non_null(one.libctx);
    if (!try_load(one.libctx, &one.provider)) {
        ERR_print_errors_fp(stderr);
        fail_msg("the module does not load");
    }
    return one;
}

/*
 * Unload a module. A look-up before it sorts the context's providers by name. Otherwise they go down
 * in the order in which they came. Then OpenSSL keeps some 500 bytes of the provider that ours has
 * brought (provider/instance/crypto.c).
 */
static void unload(loaded *one)
{
    assert_true(OSSL_PROVIDER_available(one->libctx, "consul"));
    assert_int_equal(OSSL_PROVIDER_unload(one->provider), 1);
    OSSL_LIB_CTX_free(one->libctx);
}

/* Return true where this instance's loader refuses the URI, in words that only it has. */
static bool loader_answers(OSSL_LIB_CTX *libctx)
{
    OSSL_STORE_CTX *store =
        OSSL_STORE_open_ex("consul://nothing", libctx, NULL, NULL, NULL, NULL, NULL, NULL);
    bool answers = false;
    const char *text;
    int flags;

    assert_null(store);
    while (ERR_get_error_all(NULL, NULL, NULL, &text, &flags) != 0)
        answers |= (flags & ERR_TXT_STRING) != 0 && strstr(text, "consul:leaf/<service>") != NULL;
    return answers;
}

static void test_params(void **state)
{
    loaded one = load();
    const char *name = NULL, *version = NULL, *build = NULL;
    int status = 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_NAME, OSSL_PARAM_UTF8_PTR, &name, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_VERSION, OSSL_PARAM_UTF8_PTR, &version, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_BUILDINFO, OSSL_PARAM_UTF8_PTR, &build, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_STATUS, OSSL_PARAM_INTEGER, &status, sizeof(status)),
        OSSL_PARAM_END,
    };
    const OSSL_PARAM *known = OSSL_PROVIDER_gettable_params(one.provider);

    assert_non_null(OSSL_PARAM_locate_const(known, OSSL_PROV_PARAM_NAME));
    assert_non_null(OSSL_PARAM_locate_const(known, OSSL_PROV_PARAM_VERSION));
    assert_non_null(OSSL_PARAM_locate_const(known, OSSL_PROV_PARAM_STATUS));
    assert_int_equal(OSSL_PROVIDER_get_params(one.provider, params), 1);
    assert_string_equal(name, "Consul Connect provider");
    assert_string_equal(version, CONSUL_PROVIDER_VERSION);
    assert_contains(build, OPENSSL_VERSION_TEXT);
    assert_int_equal(status, 1);
    assert_string_equal(OSSL_PROVIDER_get0_name(one.provider), "consul");
    unload(&one);
}

static void test_default_context(void **state)
{
    OSSL_PROVIDER *provider, *builtin = OSSL_PROVIDER_load(NULL, "default");

    assert_non_null(builtin);
    assert_true(try_load(NULL, &provider));
    assert_true(loader_answers(NULL));
    assert_int_equal(OSSL_PROVIDER_unload(provider), 1);
    assert_false(loader_answers(NULL));
    assert_int_equal(OSSL_PROVIDER_unload(builtin), 1);
}

/* Earlier errors on the queue stay there, and no other is added. */
static void test_success_leaves_the_queue(void **state)
{
    loaded one;

    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 42);
    one = load();
    unload(&one);
    assert_int_equal(ERR_GET_REASON(ERR_get_error()), 42);
    assert_int_equal(ERR_get_error(), 0);
}

static void test_ssl_ctx_leaves_the_queue(void **state)
{
    OSSL_PROVIDER *provider, *builtin = OSSL_PROVIDER_load(NULL, "default");
    SSL_CTX *ctx;
    SSL *ssl;

    assert_true(try_load(NULL, &provider));
    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 42);
    ctx = SSL_CTX_new(TLS_method());
    assert_non_null(ctx);
    ssl = SSL_new(ctx);
    assert_non_null(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    assert_int_equal(ERR_GET_REASON(ERR_get_error()), 42);
    assert_int_equal(ERR_get_error(), 0);
    OSSL_PROVIDER_unload(provider);
    OSSL_PROVIDER_unload(builtin);
}

/* With default_properties = fips=yes, as OpenSSL's own loaders and decoders are. */
static void test_found_by_fips_properties(void **state)
{
    loaded one = load();
    OSSL_STORE_LOADER *loader = OSSL_STORE_LOADER_fetch(one.libctx, "consul", "fips=yes");
    OSSL_DECODER *decoder =
        OSSL_DECODER_fetch(one.libctx, CONSUL_STAND_IN_OID, "provider=consul,fips=yes");

    assert_non_null(loader);
    assert_non_null(decoder);
    OSSL_STORE_LOADER_free(loader);
    OSSL_DECODER_free(decoder);
    unload(&one);
}

/* It has brought the cryptography, into each library context by itself. */
static void test_brings_cryptography(void **state)
{
    loaded first = load(), second = load();

    assert_true(OSSL_PROVIDER_available(first.libctx, "default"));
    unload(&first);
    assert_true(OSSL_PROVIDER_available(second.libctx, "default"));
    unload(&second);
}

/* More rounds than there are places for instances, and not a block more after any of them. */
static void test_load_and_unload(void **state)
{
    long blocks_at_50 = 0;
    int round;

    for (round = 1; round <= 200; round++) {
        loaded one = load();

        assert_true(loader_answers(one.libctx));
        unload(&one);
        if (round == 50)
            blocks_at_50 = atomic_load(&blocks);
    }
    assert_int_equal(atomic_load(&blocks), blocks_at_50);
}

static void test_two_instances(void **state)
{
    loaded first = load(), second = load();

    assert_true(loader_answers(first.libctx));
    assert_true(loader_answers(second.libctx));
    unload(&first);
    assert_true(loader_answers(second.libctx));
    first = load();
    unload(&second);
    assert_true(loader_answers(first.libctx));
    unload(&first);
}

#define TOO_MANY 200

/* There is a limit, it is said, and the others go on. */
static void test_too_many_instances(void **state)
{
    loaded all[TOO_MANY];
    int count = 0;
    char text[256];

    while (count < TOO_MANY) {
        all[count].libctx = OSSL_LIB_CTX_new();
        if (!try_load(all[count].libctx, &all[count].provider))
            break;
        count++;
    }
    assert_between(count, 16, TOO_MANY - 1);
    ERR_error_string_n(ERR_peek_error(), text, sizeof(text));
    assert_contains(text, "consul provider");
    ERR_clear_error();
    OSSL_LIB_CTX_free(all[count].libctx);
    assert_true(loader_answers(all[0].libctx));
    assert_true(loader_answers(all[count - 1].libctx));
    while (count-- > 0)
        unload(&all[count]);
}

static void *load_and_unload(void *arg)
{
    int i;

    for (i = 0; i < 10; i++) {
        OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
        OSSL_PROVIDER *provider = OSSL_PROVIDER_try_load(libctx, arg, 1);

        if (provider == NULL || !OSSL_PROVIDER_unload(provider))
            return arg;
        OSSL_LIB_CTX_free(libctx);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[8];
    char name[1024];
    size_t i;

    /* A path stands for itself, without a search path. */
    snprintf(name, sizeof(name), "%s", module_path());
    setenv("OPENSSL_MODULES", "/", 1);
    for (i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_and_unload, name), 0);
    for (i = 0; i < 8; i++) {
        void *bad;

        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
    unsetenv("OPENSSL_MODULES");
}

/* ---- configuration ---- */

static const struct {
    const char *settings, *more;
    const char *error; /* NULL where it loads */
} configurations[] = {
    {"", NULL, NULL},
    {"address = 127.0.0.1:8500\nservice = web\nrequest_timeout = 2s", NULL, NULL},
    {"address = unix:///run/consul.sock", NULL, NULL},
    {"tls_verify = maybe", NULL, "tls_verify = \"maybe\": allowed are"},
    {"tls = 2", NULL, "tls = \"2\": allowed are"},
    {"connect_timeout = soon", NULL, "connect_timeout = \"soon\": allowed are 1ms to 10m"},
    {"request_timeout = 0s", NULL, "request_timeout = \"0s\": allowed"},
    {"authorize_timeout = 1h", NULL, "authorize_timeout = \"1h\": allowed"},
    {"address = ftp://agent", NULL, "address = \"ftp://agent\": unknown scheme; allowed are"},
    {"address = http://u:p@agent", NULL, "credentials belong into http_auth"},
    {"service = ..", NULL, "service may not be"},
    {"client_cert = /c", NULL, "client_cert and client_key"},
    {"adress = 127.0.0.1:1", NULL,
     "[consul_section] adress: there is no such setting; the nearest is address"},
    {"Token = x", NULL, "Token: there is no such setting"},
    {"service = web", "[web]\na = b", "takes the value for the section [web]"},
    {"token = web", "[web]\na = b", "rename that section"},
};

/* Collect the errors of a load, with a newline after each: "library: reason: data". */
static void take_errors(char *text, size_t size)
{
    unsigned long code;
    const char *data;
    int flags;

    *text = '\0';
    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        const char *library = ERR_lib_error_string(code), *reason = ERR_reason_error_string(code);
        size_t len = strlen(text);

        snprintf(text + len, size - len, "%s: %s: %s\n", library == NULL ? "" : library,
                 reason == NULL ? "" : reason, (flags & ERR_TXT_STRING) != 0 ? data : "");
    }
}

/*
 * Open a URI, and collect the errors. OpenSSL goes on without a provider that its configuration
 * cannot start, and drops the errors. So they come with the first demand on the provider.
 */
static void collect_errors(OSSL_LIB_CTX *libctx, const char *uri, char *errors, size_t size)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, libctx, NULL, NULL, NULL, NULL, NULL, NULL);

    assert_null(store);
    take_errors(errors, size);
}

static void load_configuration(const char *settings, const char *more, const char *uri,
                               char *errors, size_t size)
{
    config_file file = config_file_write(settings, more);
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();

    setenv("OPENSSL_CONF", file.path, 1); /* the check of spelling reads the default file */
    assert_non_null(libctx);
    (void)OSSL_LIB_CTX_load_config(libctx, file.path);
    collect_errors(libctx, uri, errors, size);
    OSSL_LIB_CTX_free(libctx);
    setenv("OPENSSL_CONF", "/dev/null", 1);
    config_file_remove(&file);
}

static void test_configurations(void **state)
{
    int bad = 0;
    size_t i;

    for (i = 0; i < sizeof(configurations) / sizeof(configurations[0]); i++) {
        bool good = configurations[i].error == NULL;
        char errors[8192];

        load_configuration(configurations[i].settings, configurations[i].more,
                           good ? "consul://nothing" : "consul://roots", errors, sizeof(errors));
        if (good != (strstr(errors, "consul provider: invalid setting: ") == NULL)
            || strstr(errors, good ? "consul:leaf/<service>" : configurations[i].error) == NULL) {
            print_error("%s: %s\n", configurations[i].settings, errors);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

/* Return the status of the instance with these settings, and its errors. */
static int status_with(const char *settings, char *errors, size_t size)
{
    config_file file = config_file_write(settings, NULL);
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *provider;
    int status = -1;
    OSSL_PARAM params[] = {
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_STATUS, OSSL_PARAM_INTEGER, &status, sizeof(status)),
        OSSL_PARAM_END,
    };

    setenv("OPENSSL_CONF", file.path, 1);
    assert_non_null(libctx);
    (void)OSSL_LIB_CTX_load_config(libctx, file.path);
    provider = OSSL_PROVIDER_load(libctx, "consul"); /* the same one */
    assert_non_null(provider);
    assert_int_equal(OSSL_PROVIDER_get_params(provider, params), 1);
    collect_errors(libctx, "consul://roots?x", errors, size);
    OSSL_PROVIDER_unload(provider);
    OSSL_LIB_CTX_free(libctx);
    setenv("OPENSSL_CONF", "/dev/null", 1);
    config_file_remove(&file);
    return status;
}

/* An instance with a faulty configuration is there, and refuses all TLS. It does not run. */
static void test_status(void **state)
{
    char errors[8192];

    assert_int_equal(status_with("service = web", errors, sizeof(errors)), 1);
    assert_int_equal(status_with("tls = 2", errors, sizeof(errors)), 0);
    assert_contains(errors, "tls = \"2\": allowed are");
    assert_int_equal(status_with("log = /dev/null/log", errors, sizeof(errors)), 0);
    assert_contains(errors, "/dev/null/log");
}

static void test_secrets_stay_off_the_queue(void **state)
{
    static const char *const settings[] = {
        "token = hunter2\ntls = x", "http_auth = hunter2\ntls = x", "token = hunter2\nservice = ..",
        "token = hunter2\nnonsense = 1"};
    size_t i;

    for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        char errors[8192];

        load_configuration(settings[i], NULL, "consul://roots", errors, sizeof(errors));
        assert_contains(errors, "consul provider: invalid setting");
        assert_lacks(errors, "hunter2");
    }
}

static void test_bad_environment(void **state)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *provider;
    char errors[8192];

    setenv("CONSUL_HTTP_SSL_VERIFY", "perhaps", 1);
    (void)try_load(libctx, &provider);
    collect_errors(libctx, "consul://roots", errors, sizeof(errors));
    unsetenv("CONSUL_HTTP_SSL_VERIFY");
    assert_contains(errors,
                    "environment variable CONSUL_HTTP_SSL_VERIFY: tls_verify = \"perhaps\"");
    if (provider != NULL)
        OSSL_PROVIDER_unload(provider);
    OSSL_LIB_CTX_free(libctx);
}

/* ---- another libcrypto ---- */

/* Functions of another libcrypto: the object that they are in has not the module's. */
static OSSL_FUNC_core_get_params_fn other_get_params;
static OSSL_FUNC_core_get_libctx_fn other_get_libctx;

static int other_get_params(const OSSL_CORE_HANDLE *handle, OSSL_PARAM params[])
{
    return 1;
}

static OPENSSL_CORE_CTX *other_get_libctx(const OSSL_CORE_HANDLE *handle)
{
    return NULL;
}

static void test_another_libcrypto(void **state)
{
    static const OSSL_DISPATCH functions[] = {
        {OSSL_FUNC_CORE_GET_PARAMS, (void (*)(void))other_get_params},
        {OSSL_FUNC_CORE_GET_LIBCTX, (void (*)(void))other_get_libctx},
        {OSSL_FUNC_BIO_READ_EX, (void (*)(void))other_get_params}, /* not called */
        {OSSL_FUNC_BIO_CTRL, (void (*)(void))other_get_params},
        {0, NULL},
    };
    void *module = dlopen(module_path(), RTLD_NOW | RTLD_LOCAL), *instance = NULL;
    const OSSL_DISPATCH *out = NULL;
    OSSL_provider_init_fn *init;
    char errors[8192];

    assert_non_null(module);
    *(void **)&init = dlsym(module, "OSSL_provider_init");
    assert_non_null(init);
    assert_int_equal(init(NULL, functions, &out, &instance), 0);
    assert_null(instance);
    take_errors(errors, sizeof(errors));
    assert_contains(errors, "this module is for another libcrypto");
    dlclose(module);
}

static void test_reason_strings(void **state)
{
    loaded one = load();
    unsigned long code;
    int reason;

    assert_null(
        OSSL_STORE_open_ex("consul://nothing", one.libctx, NULL, NULL, NULL, NULL, NULL, NULL));
    while ((code = ERR_get_error()) != 0 && ERR_GET_REASON(code) != CONSUL_R_URI_INVALID)
        ;
    assert_int_not_equal(code, 0);
    assert_string_equal(ERR_lib_error_string(code), "consul provider");
    unload(&one);
    /* They outlive the provider: errors on a queue can still be printed. */
    for (reason = CONSUL_R_OUT_OF_MEMORY; reason < CONSUL_R_END; reason++) {
        const char *text = ERR_reason_error_string(ERR_PACK(ERR_GET_LIB(code), 0, reason));

        assert_non_null(text);
        assert_string_equal(text, consul_reason_text(reason));
        assert_string_not_equal(text, "unknown error");
    }
}

static int set_up(void **state)
{
    const consul_option *option;

    for (option = consul_options; option->name != NULL; option++) {
        if (option->env != NULL)
            unsetenv(option->env);
    }
    ERR_clear_error();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_another_libcrypto, set_up), /* first: no instance was loaded */
        cmocka_unit_test_setup(test_params, set_up),
        cmocka_unit_test_setup(test_default_context, set_up),
        cmocka_unit_test_setup(test_success_leaves_the_queue, set_up),
        cmocka_unit_test_setup(test_ssl_ctx_leaves_the_queue, set_up),
        cmocka_unit_test_setup(test_found_by_fips_properties, set_up),
        cmocka_unit_test_setup(test_brings_cryptography, set_up),
        cmocka_unit_test_setup(test_load_and_unload, set_up),
        cmocka_unit_test_setup(test_two_instances, set_up),
        cmocka_unit_test_setup(test_too_many_instances, set_up),
        cmocka_unit_test_setup(test_threads, set_up),
        cmocka_unit_test_setup(test_configurations, set_up),
        cmocka_unit_test_setup(test_status, set_up),
        cmocka_unit_test_setup(test_secrets_stay_off_the_queue, set_up),
        cmocka_unit_test_setup(test_bad_environment, set_up),
        cmocka_unit_test_setup(test_reason_strings, set_up),
    };

    if (!CRYPTO_set_mem_functions(counting_malloc, counting_realloc, counting_free))
        return 1; /* libcrypto was in use already */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
