/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cryptography of the process comes with this provider. A file activates `null` and this provider,
 * and no other. Where the module cannot be loaded, the process has no cryptography and starts no TLS.
 * It would start ungoverned TLS otherwise. `base` in place of `null` would close the file, too. Beside
 * `default`, though, OpenSSL 3.0 tries each decoder twice, and a handshake costs half as much again.
 */
#include "instance/crypto.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

/* How often `default` was brought into the default library context without being asked for by name. */
static atomic_int unasked;

/* Whether `fips` was there, too, when the last SSL_CTX was made. */
static atomic_bool is_mixed;

/* The default library context has its providers in the order of their names since the last was brought. */
static atomic_bool sorted;

static bool is_global(const prov_instance *prov)
{
    return prov->core.libctx == OSSL_LIB_CTX_get0_global_default();
}

#if OPENSSL_VERSION_MAJOR < 4
/*
 * Do as prov_crypto_sort, for a program that has never asked this provider for anything. No other program takes
 * OpenSSL's locks here. A child that was forked amid handshakes may find them held for ever.
 */
static void sort_at_exit(void)
{
    if (!atomic_load(&sorted))
        OSSL_PROVIDER_available(OSSL_LIB_CTX_get0_global_default(), "consul");
}
#endif

static void have_it_sorted_at_exit(void)
{
#if OPENSSL_VERSION_MAJOR < 4
    OPENSSL_atexit(sort_at_exit); /* 4.0 takes nothing down */
#endif
}

static int bring(prov_instance *prov, const char *name, consul_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *why;

    if (is_global(prov)) {
        atomic_store(&sorted, false);
        pthread_once(&once, have_it_sorted_at_exit);
    }
    ERR_set_mark();
    prov->crypto = OSSL_PROVIDER_load(prov->core.libctx, name);
    why = ERR_reason_error_string(ERR_peek_last_error());
    ERR_pop_to_mark();
    return prov->crypto != NULL
           || consul_error_set(
               err, CONSUL_R_SETTING_INVALID,
               "OpenSSL cannot load its provider \"%s\": %s; where it has a section in "
               "the file, list that section before this provider's",
               name, why == NULL ? "no reason given" : why);
}

/*
 * Called while OpenSSL's configuration is being loaded. OpenSSL holds the lock of its configuration
 * module then, and none of those that loading a provider takes.
 */
int prov_crypto_bring(prov_instance *prov, consul_error *err)
{
    const char *source = prov_section_value(&prov->core, "crypto");

    if (source != NULL && strcmp(source, "fips") == 0)
        return bring(prov, "fips", err);
    if (source != NULL && strcmp(source, "auto") != 0)
        return 1; /* off, or no known value: a mistake brings no cryptography */
    /* A program with `fips` wants no other, and an older file activates `default` by itself. */
    if (OSSL_PROVIDER_available(prov->core.libctx, "fips")
        || OSSL_PROVIDER_available(prov->core.libctx, "default"))
        return 1;
    if (!bring(prov, "default", err))
        return 0;
    if (is_global(prov))
        atomic_fetch_add(&unasked, 1);
    prov->crypto_unasked = true;
    return 1;
}

/*
 * Have OpenSSL sort its providers by name, as each look for a provider does. It ends them in that order.
 * A provider that has ended before this one cannot be given back: some hundred bytes would stay.
 */
void prov_crypto_sort(prov_instance *prov)
{
    if (prov->crypto == NULL
        || atomic_exchange_explicit(&prov->crypto_sorted, true, memory_order_relaxed))
        return;
    OSSL_PROVIDER_available(prov->core.libctx, "consul");
    if (is_global(prov))
        atomic_store(&sorted, true);
}

void prov_crypto_release(prov_instance *prov)
{
    if (prov->crypto_unasked && is_global(prov))
        atomic_fetch_sub(&unasked, 1);
    if (prov->crypto != NULL)
        OSSL_PROVIDER_unload(prov->crypto);
}

void prov_crypto_look(void)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_get0_global_default();

    atomic_store_explicit(&is_mixed,
                          atomic_load_explicit(&unasked, memory_order_relaxed) != 0
                              && OSSL_PROVIDER_available(libctx, "fips")
                              && !EVP_default_properties_is_fips_enabled(libctx),
                          memory_order_relaxed);
}

int prov_crypto_check(consul_error *err)
{
    if (!atomic_load_explicit(&is_mixed, memory_order_relaxed))
        return 1;
    return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                            "the provider fips was activated after this one, which has brought "
                            "\"default\": list fips before it, or set crypto");
}
