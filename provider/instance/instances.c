/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/instances.h"

#include "config/slips.h"
#include "config/upstream.h"
#include "instance/agreement.h"
#include "instance/crypto.h"
#include "report/board.h"
#include "report/log.h"

#include <pthread.h>
#include <string.h>

#include <openssl/crypto.h>

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

/* The active instances whose section has names that nothing has looked at. Changed with the lock held. */
static atomic_uint names_left;

static atomic_bool has_ended; /* OpenSSL is being taken down */
static atomic_bool is_used;   /* a store was asked for, for TLS */

#if OPENSSL_VERSION_MAJOR < 4
static void note_end(void)
{
    atomic_store(&has_ended, true);
}
#endif

/* Take the lock over a fork: another thread could hold it, and the child could never take it. */
static void prepare(void)
{
    pthread_atfork(lock_active, unlock_active, unlock_active);
#if OPENSSL_VERSION_MAJOR < 4
    OPENSSL_atexit(note_end); /* 4.0 takes nothing down */
#endif
}

static consul_error was_unusable; /* of the first unusable instance; under the lock */

static void note_unusable(const consul_error *fault)
{
    if (was_unusable.reason == 0) {
        was_unusable = *fault;
        consul_error_prefix(&was_unusable, "the provider was unloaded with a fault: ");
    }
}

/* Look at the names of an instance, with the lock held. Return 0 if it is unusable from now on. */
static int look_at_names(prov_instance *prov)
{
    if (prov_config_check_slips(&prov->core, true, &prov->unusable))
        return 1;
    note_unusable(&prov->unusable);
    return 0;
}

static void forget_names(prov_instance *prov)
{
    prov->names_left = false;
    atomic_fetch_sub_explicit(&names_left, 1, memory_order_release);
}

/*
 * Look at the names of one instance, which has none left then. Its store for TLS is released without the lock. The other one
 * goes with the instance, as it is of the instance's library context.
 */
static void check_one(void)
{
    consul_store *store = NULL;
    consul_error err = {0};
    size_t i;

    lock_active();
    for (i = 0; i < PROV_INSTANCES_MAX && active[i] != NULL && !active[i]->names_left; i++)
        ;
    if (i < PROV_INSTANCES_MAX && active[i] != NULL) {
        if (!look_at_names(active[i])) {
            err = active[i]->unusable;
            store = active[i]->tls_store;
            active[i]->tls_store = NULL;
        }
        forget_names(active[i]);
    }
    unlock_active();
    consul_store_unref(store);
    if (err.reason != 0) {
        prov_board_refuse(&err);
        prov_log_error(CONSUL_LOG_ERROR, "configuration_refused", &err,
                       "all TLS of this process is refused");
    }
}

void prov_instances_check(void)
{
    while (atomic_load_explicit(&names_left, memory_order_acquire) != 0)
        check_one();
}

void prov_instances_remove(prov_instance *prov)
{
    bool counts = !atomic_load(&has_ended) || atomic_load(&is_used);
    size_t i;

    lock_active();
    /* A fault makes demands that are not known. They hold after the unload, but for a program that ends without TLS. */
    if (counts && prov->tls_store != NULL && !prov_agreement_check_deciding(prov, &prov->unusable))
        note_unusable(&prov->unusable);
    if (prov->names_left) {
        if (counts)
            look_at_names(prov);
        forget_names(prov);
    }
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

static bool has_service(const prov_instance *prov)
{
    return prov->tls_store != NULL && consul_store_settings(prov->tls_store)->service != NULL;
}

/* ---- what outlives an instance ---- */

/* Set when such an instance is loaded, and never again. */
static atomic_bool inbound_was_required, outbound_was_required, outbound_was_auto;

static char auto_domains[4][1024]; /* of services with `auto`, each list once; under the lock */

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
        note_unusable(&prov->unusable);
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
int prov_instances_add(prov_instance *prov, consul_error *fault)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    consul_store *store = NULL, *tls_store = NULL;
    size_t i, count;
    int agreed = 1;

    pthread_once(&once, prepare);
    lock_active();
    for (count = 0; count < PROV_INSTANCES_MAX && active[count] != NULL; count++)
        ;
    for (i = 0; i < count && agreed && has_service(prov); i++)
        agreed = !has_service(active[i]) || prov_agreement_check(prov, active[i], &prov->unusable);
    if (!agreed) {
        store = prov->store;
        tls_store = prov->tls_store;
        prov->store = NULL;
        prov->tls_store = NULL;
    }
    note_demands(prov);
    prov_agreement_note_deciding(prov);
    prov->names_left = prov->names_left && prov->tls_store != NULL;
    if (prov->names_left && count == PROV_INSTANCES_MAX) {
        look_at_names(prov); /* it does not get in, and nothing looks again */
        prov->names_left = false;
    }
    atomic_fetch_add_explicit(&names_left, prov->names_left, memory_order_release);
    if (count < PROV_INSTANCES_MAX)
        active[count] = prov;
    *fault = prov->unusable;
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

/*
 * Check that no instance was given a deciding setting since its load, with the lock held. OpenSSL has no lock for such
 * settings: a program that sets one beside other threads' handshakes may crash.
 */
static int check_deciding(consul_error *err)
{
    size_t i;

    for (i = 0; i < PROV_INSTANCES_MAX && active[i] != NULL; i++) {
        if (!prov_agreement_check_deciding(active[i], err))
            return 0;
    }
    return 1;
}

consul_store *prov_active_store(consul_error *why)
{
    consul_store *store = NULL;
    const prov_instance *prov;

    if (!atomic_load_explicit(&is_used, memory_order_relaxed))
        atomic_store(&is_used, true);
    prov_instances_check();
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
    } else if (check_deciding(why)) {
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
