#include "provider.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#ifndef CONSUL_PROVIDER_VERSION
#error "the build defines CONSUL_PROVIDER_VERSION"
#endif

/* The one symbol that the module exports. */
__attribute__((visibility("default"))) OSSL_provider_init_fn OSSL_provider_init;

/* ---- the active instances ---- */

#define INSTANCES_MAX 64

/* Guards `active`; held for a few instructions, never across a call that could block. */
static pthread_mutex_t active_lock = PTHREAD_MUTEX_INITIALIZER;
static prov_ctx *active[INSTANCES_MAX];

static void lock_active(void)
{
    pthread_mutex_lock(&active_lock);
}

static void unlock_active(void)
{
    pthread_mutex_unlock(&active_lock);
}

/* A fork while another thread holds the lock would leave it locked in the child for ever. */
static void keep_lock_sane_over_fork(void)
{
    pthread_atfork(lock_active, unlock_active, unlock_active);
}

static void remove_active(const prov_ctx *prov)
{
    size_t i;

    lock_active();
    for (i = 0; i < INSTANCES_MAX && active[i] != prov; i++)
        ;
    if (i < INSTANCES_MAX) { /* The order of loading is the order of precedence: close the gap. */
        memmove(active + i, active + i + 1, (INSTANCES_MAX - i - 1) * sizeof(active[0]));
        active[INSTANCES_MAX - 1] = NULL;
    }
    unlock_active();
}

static const char *provider_name(const prov_ctx *prov)
{
    char *name = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_CORE_PROV_NAME, OSSL_PARAM_UTF8_PTR, &name, 0),
        OSSL_PARAM_END,
    };

    return prov->get_params(prov->handle, params) && name != NULL ? name : "consul";
}

static bool has_service(const prov_ctx *prov)
{
    return prov->tls_store != NULL && consul_store_settings(prov->tls_store)->service != NULL;
}

/* Do the files of two instances say the same? The environment is not asked: it may change meanwhile. */
static int check_agreement(const prov_ctx *prov, const prov_ctx *other, consul_error *err)
{
    const consul_option *option;

    for (option = consul_options; option->name != NULL; option++) {
        const char *value = prov_config_value(prov, option->name);
        const char *others = prov_config_value(other, option->name);
        bool shown = option->type != CONSUL_OPTION_SECRET;

        if (value == NULL ? others == NULL : others != NULL && strcmp(value, others) == 0)
            continue;
        value = value == NULL ? "(not set)" : shown ? value : "(secret)";
        others = others == NULL ? "(not set)" : shown ? others : "(another secret)";
        return consul_error_set(
            err, CONSUL_R_SETTING_INVALID,
            "two sections make this process a service, and differ: %s is %.200s "
            "for the provider \"%s\" and %.200s for \"%s\"; leave one, and give "
            "what is to be another service a stand-in",
            option->name, others, provider_name(other), value, provider_name(prov));
    }
    return 1;
}

/*
 * Several instances with a service are one that was loaded several times, into library contexts say.
 * Where they differ, one of them would be without effect; so this one is unusable, and all TLS refused.
 */
static int add_active(prov_ctx *prov)
{
    consul_store *store = NULL, *tls_store = NULL;
    size_t i, count;
    int agreed = 1;

    lock_active();
    for (count = 0; count < INSTANCES_MAX && active[count] != NULL; count++)
        ;
    for (i = 0; i < count && agreed && has_service(prov); i++)
        agreed = !has_service(active[i]) || check_agreement(prov, active[i], &prov->unusable);
    if (!agreed) {
        store = prov->store;
        tls_store = prov->tls_store;
        prov->store = NULL;
        prov->tls_store = NULL;
    }
    if (count < INSTANCES_MAX)
        active[count] = prov;
    unlock_active();
    consul_store_unref(store);
    consul_store_unref(tls_store);
    return count < INSTANCES_MAX;
}

/*
 * The instance that governs the process's TLS, with the lock held: one with a service, before others,
 * so that it is not without effect. One that is unusable refuses everything.
 */
static const prov_ctx *governing(void)
{
    const prov_ctx *best = active[0];
    size_t i;

    for (i = 0; i < INSTANCES_MAX && active[i] != NULL; i++) {
        if (active[i]->tls_store == NULL)
            return active[i];
        if (!has_service(best) && has_service(active[i]))
            best = active[i];
    }
    return best;
}

consul_store *prov_active_store(consul_error *why)
{
    consul_store *store = NULL;
    const prov_ctx *prov;

    if (!prov_crypto_check(why))
        return NULL;
    lock_active();
    prov = governing();
    if (prov == NULL)
        consul_error_set(why, CONSUL_R_NOT_ACTIVE,
                         "it was unloaded, and nobody can say who may connect");
    else if (prov->tls_store == NULL)
        consul_error_set(why, prov->unusable.reason, "%s", prov->unusable.text);
    else
        store = consul_store_ref(prov->tls_store);
    unlock_active();
    return store;
}

/* Set when such an instance is loaded, and never again. */
static atomic_bool inbound_was_required, outbound_was_required;

bool prov_was_required(bool inbound)
{
    return atomic_load_explicit(inbound ? &inbound_was_required : &outbound_was_required,
                                memory_order_relaxed);
}

static void note_requirements(const consul_settings *settings)
{
    if (settings->service != NULL && settings->inbound == CONSUL_DEMAND_REQUIRE)
        atomic_store_explicit(&inbound_was_required, true, memory_order_relaxed);
    if (settings->service != NULL && settings->outbound == CONSUL_DEMAND_REQUIRE)
        atomic_store_explicit(&outbound_was_required, true, memory_order_relaxed);
}

bool prov_upstream(const char *host, consul_service *service)
{
    const char *text, *found = NULL;
    bool agreed = true;
    size_t i;

    memset(service, 0, sizeof(*service));
    lock_active(); /* keeps the instances from being unloaded */
    for (i = 0; i < INSTANCES_MAX && active[i] != NULL; i++) {
        if (active[i]->tls_store == NULL || (text = prov_upstream_find(active[i], host)) == NULL)
            continue;
        agreed &= found == NULL || strcmp(found, text) == 0;
        found = text;
    }
    if (found != NULL && agreed)
        consul_service_parse(found, service, NULL); /* nobody, if it does not parse */
    unlock_active();
    return found != NULL;
}

/* ---- the provider's own functions ---- */

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
    const prov_ctx *prov = provctx;
    OSSL_PARAM *status = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);

    return set_text(params, OSSL_PROV_PARAM_NAME, "Consul Connect provider")
           && set_text(params, OSSL_PROV_PARAM_VERSION, CONSUL_PROVIDER_VERSION)
           && set_text(params, OSSL_PROV_PARAM_BUILDINFO, "built with " OPENSSL_VERSION_TEXT)
           && (status == NULL || OSSL_PARAM_set_int(status, prov->store != NULL));
}

static const OSSL_ALGORITHM *provider_query_operation(void *provctx, int operation, int *no_cache)
{
    prov_crypto_sort(provctx);
    *no_cache = 0;
    if (operation == OSSL_OP_STORE)
        return prov_loader_algorithms;
    return operation == OSSL_OP_DECODER ? prov_decoder_algorithms() : NULL;
}

static void free_instance(prov_ctx *prov)
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
    prov_ctx *prov = provctx;

    remove_active(prov);
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

/*
 * Hooks and objects are those of the libcrypto that this module is linked to. A program that
 * brings another one, a static one say, would be governed in no way: it must not start.
 */
static int is_our_libcrypto(void (*core_function)(void))
{
    Dl_info theirs, ours;
    void *their_address, *our_address;
    void (*our_function)(void) = (void (*)(void))OPENSSL_init_crypto;

    memcpy(&their_address, &core_function, sizeof(their_address));
    memcpy(&our_address, &our_function, sizeof(our_address));
    return dladdr(their_address, &theirs) != 0 && dladdr(our_address, &ours) != 0
           && theirs.dli_fbase == ours.dli_fbase;
}

/* The core's functions that we use. */
typedef struct core_functions {
    OSSL_FUNC_core_get_params_fn *get_params;
    OSSL_FUNC_core_get_libctx_fn *get_libctx;
    OSSL_FUNC_BIO_gets_fn *bio_gets;
} core_functions;

static int take_core(core_functions *core, const OSSL_DISPATCH *in, consul_error *err)
{
    const OSSL_DISPATCH *function;

    for (function = in; function->function_id != 0; function++) {
        if (function->function_id == OSSL_FUNC_CORE_GET_PARAMS)
            core->get_params = OSSL_FUNC_core_get_params(function);
        else if (function->function_id == OSSL_FUNC_CORE_GET_LIBCTX)
            core->get_libctx = OSSL_FUNC_core_get_libctx(function);
        else if (function->function_id == OSSL_FUNC_BIO_GETS)
            core->bio_gets = OSSL_FUNC_BIO_gets(function);
    }
    if (core->get_params == NULL || core->get_libctx == NULL || core->bio_gets == NULL)
        return consul_error_set(err, CONSUL_R_INTERNAL, "OpenSSL's core lacks a function");
    if (!is_our_libcrypto((void (*)(void))core->get_libctx))
        return consul_error_set(err, CONSUL_R_INTERNAL,
                                "this program has a libcrypto of its own, not the shared one "
                                "that the provider is linked to: it can not be governed");
    return 1;
}

/*
 * Whatever is wrong with the configuration, the provider is there: OpenSSL goes on without a
 * provider that fails to load, whatever config_diagnostics says, and TLS would go on ungoverned.
 * So it loads, and then refuses everything.
 */
static void configure(prov_ctx *prov)
{
    int has_crypto = prov_crypto_bring(prov, &prov->unusable);
    consul_settings *settings = has_crypto ? prov_config_read(prov, &prov->unusable) : NULL;

    prov_log_open(prov_config_value(prov, "log")); /* also for what is wrong with the others */
    if (settings == NULL
        || (prov->store = consul_store_new(settings, prov->libctx, &prov->unusable)) == NULL)
        return;
    /* Connections outlive this library context: what serves them must not be in it. */
    if (prov->libctx == OSSL_LIB_CTX_get0_global_default()) {
        prov->tls_store = consul_store_ref(prov->store);
    } else if ((settings = prov_config_read(prov, &prov->unusable)) == NULL
               || (prov->tls_store = consul_store_new(settings, NULL, &prov->unusable)) == NULL) {
        consul_store_unref(prov->store);
        prov->store = NULL;
        return;
    }
    note_requirements(consul_store_settings(prov->store));
}

int OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                       const OSSL_DISPATCH **out, void **provctx)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    core_functions core = {0};
    consul_error err = {0};
    prov_ctx *prov = NULL;
    int fits;

    if (!prov_error_init())
        return 0;
    pthread_once(&once, keep_lock_sane_over_fork);
    if (!take_core(&core, in, &err))
        goto err;
    if ((prov = OPENSSL_zalloc(sizeof(*prov))) == NULL || !prov_tls_hook_install()) {
        consul_error_set(&err, CONSUL_R_OUT_OF_MEMORY, "starting the provider");
        goto err;
    }
    prov->handle = handle;
    prov->get_params = core.get_params;
    prov->bio_gets = core.bio_gets;
    /* The library context itself: take_core has checked that it is of our own libcrypto. */
    prov->libctx = (OSSL_LIB_CTX *)core.get_libctx(handle);
    configure(prov);
    fits = add_active(prov);
    if (prov->store == NULL)
        prov_log(&prov->unusable, "all TLS of this process is refused", NULL);
    if (!fits) {
        consul_error_set(&err, CONSUL_R_INTERNAL, "loaded more than %d times", INSTANCES_MAX);
        goto err;
    }
    *provctx = prov;
    *out = provider_functions;
    return 1;

err:
    prov_error_raise(&err, NULL, NULL);
    free_instance(prov);
    return 0;
}
