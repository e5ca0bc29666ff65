/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/instances.h"

#include "config/upstream.h"
#include "instance/crypto.h"

#include <pthread.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

/* Guards `active`; held for a few instructions, never across a call that could block. */
static pthread_mutex_t active_lock = PTHREAD_MUTEX_INITIALIZER;
static prov_instance *active[PROV_INSTANCES_MAX];

static atomic_uint generation = 1; /* odd, and so never 0; changed with the lock held */

static void count_generation(void)
{
    atomic_fetch_add_explicit(&generation, 2, memory_order_release);
}

unsigned prov_instances_generation(void)
{
    return atomic_load_explicit(&generation, memory_order_acquire);
}

static void lock_active(void)
{
    pthread_mutex_lock(&active_lock);
}

static void unlock_active(void)
{
    pthread_mutex_unlock(&active_lock);
}

/* Take the lock over a fork: another thread could hold it, and the child could never take it. */
static void keep_lock_sane_over_fork(void)
{
    pthread_atfork(lock_active, unlock_active, unlock_active);
}

void prov_instances_remove(const prov_instance *prov)
{
    size_t i;

    lock_active();
    for (i = 0; i < PROV_INSTANCES_MAX && active[i] != prov; i++)
        ;
    if (i
        < PROV_INSTANCES_MAX) { /* The order of loading is the order of precedence: close the gap. */
        memmove(active + i, active + i + 1, (PROV_INSTANCES_MAX - i - 1) * sizeof(active[0]));
        active[PROV_INSTANCES_MAX - 1] = NULL;
        count_generation();
    }
    unlock_active();
}

bool prov_instances_any(void)
{
    bool any;

    lock_active();
    any = active[0] != NULL;
    unlock_active();
    return any;
}

static const char *provider_name(const prov_instance *prov)
{
    char *name = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_CORE_PROV_NAME, OSSL_PARAM_UTF8_PTR, &name, 0),
        OSSL_PARAM_END,
    };

    return prov->core.get_params(prov->core.handle, params) && name != NULL ? name : "consul";
}

static bool has_service(const prov_instance *prov)
{
    return prov->tls_store != NULL && consul_store_settings(prov->tls_store)->service != NULL;
}

/* Check that the files of two instances say the same. The environment does not count: it may change. */
static int check_agreement(const prov_instance *prov, const prov_instance *other, consul_error *err)
{
    const consul_option *option;

    for (option = consul_options; option->name != NULL; option++) {
        const char *value = prov_section_value(&prov->core, option->name);
        const char *others = prov_section_value(&other->core, option->name);
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

static const char *const deciding[PROV_DECIDING] = {"service", "inbound", "outbound"};

static void note_deciding(prov_instance *prov)
{
    size_t i;

    for (i = 0; i < PROV_DECIDING; i++)
        prov->deciding[i] = prov_section_value(&prov->core, deciding[i]);
}

/*
 * Check that no program has set one of these since. From OpenSSL 3.5 on it may do so (OSSL_PROVIDER_add_conf_parameter), and
 * `openssl -provparam` does. The setting would be without effect.
 */
static int check_deciding(const prov_instance *prov, consul_error *err)
{
    size_t i;

    for (i = 0; i < PROV_DECIDING; i++) {
        const char *value = prov_section_value(&prov->core, deciding[i]), *read = prov->deciding[i];

        if (value != NULL && (read == NULL || strcmp(value, read) != 0))
            return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                    "%s = %.200s was set when the provider \"%s\" was loaded "
                                    "already, and is without effect; set it in openssl.cnf",
                                    deciding[i], value, provider_name(prov));
    }
    return 1;
}

/* ---- what outlives an instance ---- */

/* Set when such an instance is loaded, and never again. */
static atomic_bool inbound_was_required, outbound_was_required, outbound_was_auto;

static char auto_domains[4][1024]; /* of services with `auto`, each list once; under the lock */
static consul_error was_unusable;  /* of the first unusable instance; under the lock */

#define AUTO_DOMAINS (sizeof(auto_domains) / sizeof(auto_domains[0]))

/* Keep the domains of a service with `outbound = auto`. Return false where there is no place. */
static bool keep_domains(const char *domains)
{
    size_t i;

    for (i = 0; i < AUTO_DOMAINS && *auto_domains[i] != '\0'; i++) {
        if (strcmp(auto_domains[i], domains) == 0)
            return true;
    }
    if (i >= AUTO_DOMAINS || strlen(domains) >= sizeof(auto_domains[i]))
        return false;
    OPENSSL_strlcpy(auto_domains[i], domains, sizeof(auto_domains[i]));
    return true;
}

/* Note the demands of an instance, with the lock held. No peer can be authorized for them once it is unloaded. */
static void note_demands(const prov_instance *prov)
{
    const consul_settings *settings;

    if (prov->tls_store == NULL) {
        if (was_unusable.reason == 0) {
            was_unusable = prov->unusable;
            consul_error_prefix(&was_unusable, "the provider was unloaded with a fault: ");
        }
        return;
    }
    settings = consul_store_settings(prov->tls_store);
    if (settings->service == NULL)
        return;
    if (settings->inbound == CONSUL_DEMAND_REQUIRE)
        atomic_store_explicit(&inbound_was_required, true, memory_order_relaxed);
    if (settings->outbound == CONSUL_DEMAND_AUTO && keep_domains(settings->domain))
        atomic_store_explicit(&outbound_was_auto, true, memory_order_relaxed);
    else if (settings->outbound != CONSUL_DEMAND_OFF)
        atomic_store_explicit(&outbound_was_required, true, memory_order_relaxed);
}

/*
 * Several instances with a service are one that was loaded several times, into library contexts say.
 * Where they differ, one of them would be without effect; so this one is unusable, and all TLS refused.
 */
int prov_instances_add(prov_instance *prov)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    consul_store *store = NULL, *tls_store = NULL;
    size_t i, count;
    int agreed = 1;

    pthread_once(&once, keep_lock_sane_over_fork);
    lock_active();
    for (count = 0; count < PROV_INSTANCES_MAX && active[count] != NULL; count++)
        ;
    for (i = 0; i < count && agreed && has_service(prov); i++)
        agreed = !has_service(active[i]) || check_agreement(prov, active[i], &prov->unusable);
    if (!agreed) {
        store = prov->store;
        tls_store = prov->tls_store;
        prov->store = NULL;
        prov->tls_store = NULL;
    }
    note_demands(prov);
    note_deciding(prov);
    if (count < PROV_INSTANCES_MAX)
        active[count] = prov;
    count_generation();
    unlock_active();
    consul_store_unref(store);
    consul_store_unref(tls_store);
    return count < PROV_INSTANCES_MAX;
}

/*
 * Return the instance that governs the process's TLS, with the lock held. An unusable instance comes
 * first, as it refuses all TLS. The first instance with a service comes next, and then the first.
 */
static const prov_instance *governing(void)
{
    const prov_instance *best = active[0];
    size_t i;

    for (i = 0; i < PROV_INSTANCES_MAX && active[i] != NULL; i++) {
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
    const prov_instance *prov;

    if (!prov_crypto_check(why))
        return NULL;
    lock_active();
    prov = governing();
    if (prov != NULL && prov->tls_store == NULL) {
        consul_error_copy(why, &prov->unusable);
    } else if (was_unusable.reason != 0 && (prov == NULL || !has_service(prov))) {
        consul_error_copy(why, &was_unusable);
    } else if (prov == NULL) {
        consul_error_set(why, CONSUL_R_NOT_ACTIVE,
                         "it was unloaded, and no peer can be authorized without it");
    } else if (check_deciding(prov, why)) {
        store = consul_store_ref(prov->tls_store);
    }
    unlock_active();
    return store;
}

bool prov_was_required(bool inbound)
{
    return atomic_load_explicit(inbound ? &inbound_was_required : &outbound_was_required,
                                memory_order_relaxed);
}

bool prov_was_auto(void)
{
    return atomic_load_explicit(&outbound_was_auto, memory_order_relaxed);
}

bool prov_was_service(const char *host, consul_service *service)
{
    bool was = false;
    size_t i;

    if (!prov_was_auto())
        return false;
    lock_active();
    for (i = 0; i < AUTO_DOMAINS && *auto_domains[i] != '\0' && !was; i++)
        was = consul_host_parse(host, auto_domains[i], service) != CONSUL_HOST_OTHER;
    unlock_active();
    return was;
}

bool prov_is_service(const char *host, consul_service *service)
{
    bool is = false;
    size_t i;

    lock_active(); /* keeps the instances from being unloaded */
    for (i = 0; i < PROV_INSTANCES_MAX && active[i] != NULL && !is; i++)
        is =
            active[i]->tls_store != NULL
            && consul_host_parse(host, consul_store_settings(active[i]->tls_store)->domain, service)
                   != CONSUL_HOST_OTHER;
    unlock_active();
    return is;
}

bool prov_upstream(const char *host, consul_service *service)
{
    const char *text, *found = NULL;
    bool agreed = true;
    size_t i;

    memset(service, 0, sizeof(*service));
    lock_active(); /* keeps the instances from being unloaded */
    for (i = 0; i < PROV_INSTANCES_MAX && active[i] != NULL; i++) {
        if (active[i]->tls_store == NULL
            || (text = prov_upstream_find(&active[i]->core, host)) == NULL)
            continue;
        agreed &= found == NULL || strcmp(found, text) == 0;
        found = text;
    }
    if (found != NULL && agreed)
        consul_service_parse(
            found, service,
            NULL); /* a service without a name, which is no peer, if it does not parse */
    unlock_active();
    return found != NULL;
}
