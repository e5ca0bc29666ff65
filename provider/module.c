/* SPDX-License-Identifier: Apache-2.0 */
/* The module: what OpenSSL calls when it loads an instance of the provider, asks it, and unloads it. */
#include "config/config.h"
#include "instance/crypto.h"
#include "instance/instances.h"
#include "report/board.h"
#include "report/error_queue.h"
#include "report/events.h"
#include "report/log.h"
#include "tls/hooks.h"
#include "uri/loader.h"
#include "uri/stand_in_key.h"

#include <link.h>
#include <stdint.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#ifndef CONSUL_PROVIDER_VERSION
#error "the build defines CONSUL_PROVIDER_VERSION"
#endif

/* The one symbol that the module exports. */
__attribute__((visibility("default"))) OSSL_provider_init_fn OSSL_provider_init;

static OSSL_FUNC_provider_gettable_params_fn provider_gettable_params;
static OSSL_FUNC_provider_get_params_fn provider_get_params;
static OSSL_FUNC_provider_query_operation_fn provider_query_operation;
static OSSL_FUNC_provider_teardown_fn provider_teardown;

static const OSSL_PARAM *provider_gettable_params(void *provctx)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_NAME, OSSL_PARAM_UTF8_PTR, NULL, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_VERSION, OSSL_PARAM_UTF8_PTR, NULL, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_BUILDINFO, OSSL_PARAM_UTF8_PTR, NULL, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_STATUS, OSSL_PARAM_INTEGER, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

static int set_text(OSSL_PARAM params[], const char *name, const char *value)
{
    OSSL_PARAM *param = OSSL_PARAM_locate(params, name);

    return param == NULL || OSSL_PARAM_set_utf8_ptr(param, value);
}

static int provider_get_params(void *provctx, OSSL_PARAM params[])
{
    const prov_instance *prov = provctx;
    OSSL_PARAM *status = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);

    prov_instances_check();
    return set_text(params, OSSL_PROV_PARAM_NAME, "Consul Connect provider")
           && set_text(params, OSSL_PROV_PARAM_VERSION, CONSUL_PROVIDER_VERSION)
           && set_text(params, OSSL_PROV_PARAM_BUILDINFO, "built with " OPENSSL_VERSION_TEXT)
           && (status == NULL || OSSL_PARAM_set_int(status, prov_instance_is_usable(prov)));
}

static const OSSL_ALGORITHM *provider_query_operation(void *provctx, int operation, int *no_cache)
{
    prov_crypto_sort(provctx);
    *no_cache = 0;
    if (operation == OSSL_OP_STORE)
        return prov_loader_algorithms;
    if (operation == OSSL_OP_KEYMGMT)
        return prov_keymgmt_algorithms;
    return operation == OSSL_OP_DECODER ? prov_decoder_algorithms : NULL;
}

static void free_instance(prov_instance *prov)
{
    if (prov == NULL)
        return;
    consul_store_unref(prov->store);
    consul_store_unref(prov->tls_store);
    prov_crypto_release(prov);
    OPENSSL_free(prov);
}

static void provider_teardown(void *provctx)
{
    prov_instance *prov = provctx;

    prov_instances_remove(prov);
    if (prov->tls_store != NULL)
        consul_store_close(prov->tls_store);
    free_instance(prov);
}

static const OSSL_DISPATCH provider_functions[] = {
    {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))provider_gettable_params},
    {OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))provider_get_params},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))provider_query_operation},
    {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))provider_teardown},
    {0, NULL},
};

/* Two functions, and whether one loaded object has both. */
typedef struct two_functions {
    uintptr_t one, other;
    bool together;
} two_functions;

/* Look at a loaded object. Return 1, which ends the search, if it has the first function. */
static int look_for_both(struct dl_phdr_info *object, size_t size, void *arg)
{
    two_functions *two = arg;
    bool has_one = false, has_other = false;
    int i;

    for (i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        uintptr_t begin = object->dlpi_addr + segment->p_vaddr;

        if (segment->p_type != PT_LOAD)
            continue;
        has_one |= two->one - begin < segment->p_memsz;
        has_other |= two->other - begin < segment->p_memsz;
    }
    two->together = has_one && has_other;
    return has_one;
}

/*
 * Return true if the program's libcrypto is the one that this module is linked to. Hooks and objects
 * belong to that one. A program with another libcrypto, a static one say, could not be governed, and
 * must not start. dladdr would go through all symbols of libcrypto, in each program.
 */
static bool is_our_libcrypto(void (*core_function)(void))
{
    two_functions two = {(uintptr_t)core_function, (uintptr_t)OPENSSL_init_crypto, false};

    return dl_iterate_phdr(look_for_both, &two) == 1 && two.together;
}

static int take_core(prov_core *core, const OSSL_DISPATCH *in, consul_error *err)
{
    OSSL_FUNC_core_get_libctx_fn *get_libctx = NULL;
    const OSSL_DISPATCH *function;
    const char *version;

    for (function = in; function->function_id != 0; function++) {
        if (function->function_id == OSSL_FUNC_CORE_GET_PARAMS)
            core->get_params = OSSL_FUNC_core_get_params(function);
        else if (function->function_id == OSSL_FUNC_CORE_GET_LIBCTX)
            get_libctx = OSSL_FUNC_core_get_libctx(function);
        else if (function->function_id == OSSL_FUNC_BIO_READ_EX)
            core->bio_read_ex = OSSL_FUNC_BIO_read_ex(function);
        else if (function->function_id == OSSL_FUNC_BIO_CTRL)
            core->bio_ctrl = OSSL_FUNC_BIO_ctrl(function);
    }
    if (core->get_params == NULL || get_libctx == NULL || core->bio_read_ex == NULL
        || core->bio_ctrl == NULL)
        return consul_error_set(err, CONSUL_R_INTERNAL, "OpenSSL's core lacks a function");
    if (is_our_libcrypto((void (*)(void))get_libctx)) {
        core->libctx = (OSSL_LIB_CTX *)get_libctx(core->handle);
        if (core->libctx == NULL) /* CONF_modules_load_file(3), say: this thread's default one */
            core->libctx = OSSL_LIB_CTX_set0_default(NULL);
        return 1;
    }
    version = prov_section_value(core, OSSL_PROV_PARAM_CORE_VERSION);
    return consul_error_set(
        err, CONSUL_R_INTERNAL,
        "this program has OpenSSL %s, and this module is for another libcrypto, %s: no TLS "
        "of the program is governed; name the module for its OpenSSL",
        version == NULL ? "of an unknown version" : version,
        OpenSSL_version(OPENSSL_VERSION_STRING));
}

/*
 * Open the log, also where a setting is wrong, so that the log tells of it. Return 0 for a file that cannot be
 * opened. No variable of the environment stands in for these settings.
 */
static int open_log(const prov_core *core, const consul_settings *settings, consul_error *err)
{
    const char *format = prov_section_value(core, "log_format");
    prov_log_settings log = {.sink = prov_section_value(core, "log"), .level = CONSUL_LOG_INFO};

    if (format != NULL && strcmp(format, "json") == 0)
        log.format = CONSUL_LOG_JSON;
    if (settings != NULL) {
        log.level = settings->log_level;
        log.audit = settings->audit;
        log.is_held = settings->service != NULL;
    }
    return prov_log_open(&log, err);
}

/* Refuse a second copy of the module. Each would refuse the peers that the other one has verified. */
static int check_copies(consul_error *err)
{
    const char *other = prov_error_other_copy();

    return other == NULL
           || consul_error_set(err, CONSUL_R_SETTING_INVALID,
                               "another copy of this module is loaded from %s; name one file in "
                               "all sections, with its whole path",
                               other);
}

/*
 * Configure an instance. OpenSSL goes on without a provider that fails to load, and TLS would go on
 * ungoverned. So a provider with a faulty configuration loads all the same, and refuses all TLS.
 */
static void configure(prov_instance *prov)
{
    int has_crypto = check_copies(&prov->unusable) && prov_crypto_bring(prov, &prov->unusable);
    consul_settings *settings =
        has_crypto ? prov_config_read(&prov->core, &prov->names_left, &prov->unusable) : NULL;
    bool left_again;

    if (!open_log(&prov->core, settings, &prov->unusable)) {
        consul_settings_free(settings);
        return;
    }
    if (settings == NULL
        || (prov->store = consul_store_new(settings, prov->core.libctx, &prov->unusable)) == NULL)
        return;
    /* Connections outlive this library context: what serves them must not be in it. */
    if (prov->core.libctx == OSSL_LIB_CTX_get0_global_default()) {
        prov->tls_store = consul_store_ref(prov->store);
    } else if ((settings = prov_config_read(&prov->core, &left_again, &prov->unusable)) == NULL
               || (prov->tls_store = consul_store_new(settings, NULL, &prov->unusable)) == NULL) {
        consul_store_unref(prov->store);
        prov->store = NULL;
        return;
    }
}

int OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                       const OSSL_DISPATCH **out, void **provctx)
{
    prov_core core = {.handle = handle};
    consul_error err = {0}, ignored = {0};
    prov_instance *prov = NULL;
    int fits;

    if (!prov_error_init())
        return 0;
    if (!take_core(&core, in, &err)) {
        /* A second libcrypto in the process, by libcurl say, has no part in what an instance governs. */
        if (prov_instances_any())
            return 0;
        open_log(&core, NULL, &ignored);
        goto err;
    }
    if ((prov = OPENSSL_zalloc(sizeof(*prov))) == NULL || !prov_tls_hook_install()) {
        consul_error_set(&err, CONSUL_R_OUT_OF_MEMORY, "starting the provider");
        goto err;
    }
    prov->core = core;
    prov_events_listen();
    configure(prov);
    prov_board_describe(prov->store == NULL ? NULL : consul_store_settings(prov->store),
                        &prov->unusable);
    if (prov->store == NULL || consul_store_settings(prov->store)->service != NULL)
        prov_board_open(); /* others do not pay for it before their first SSL_CTX */
    fits = prov_instances_add(prov, &err);
    if (err.reason != 0)
        prov_log_error(CONSUL_LOG_ERROR, "configuration_refused", &err,
                       "all TLS of this process is refused");
    if (!fits) {
        consul_error_set(&err, CONSUL_R_INTERNAL, "loaded more than %d times", PROV_INSTANCES_MAX);
        goto err;
    }
    *provctx = prov;
    *out = provider_functions;
    return 1;

err:
    prov_error_raise(CONSUL_LOG_ERROR, "configuration_refused", &err, NULL);
    free_instance(prov);
    return 0;
}
