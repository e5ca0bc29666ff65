#include "internal.h"

#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

struct consul_store {
    atomic_int refs;
    OSSL_LIB_CTX *libctx;
    consul_settings *settings;
    consul_agent *agent;
};

consul_store *consul_store_new(consul_settings *settings, OSSL_LIB_CTX *libctx, consul_error *err)
{
    consul_store *store = OPENSSL_zalloc(sizeof(*store));

    if (store == NULL) {
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the store");
        consul_settings_free(settings);
        return NULL;
    }
    atomic_init(&store->refs, 1);
    store->libctx = libctx;
    store->settings = settings;
    store->agent = consul_agent_new(settings, err);
    if (store->agent == NULL) {
        consul_store_unref(store);
        return NULL;
    }
    return store;
}

consul_store *consul_store_ref(consul_store *store)
{
    atomic_fetch_add_explicit(&store->refs, 1, memory_order_relaxed);
    return store;
}

void consul_store_unref(consul_store *store)
{
    if (store == NULL || atomic_fetch_sub_explicit(&store->refs, 1, memory_order_acq_rel) != 1)
        return;
    consul_agent_free(store->agent);
    consul_settings_free(store->settings);
    OPENSSL_free(store);
}

const consul_settings *consul_store_settings(const consul_store *store)
{
    return store->settings;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

consul_deadline consul_deadline_after(int64_t milliseconds)
{
    return now_ms() + milliseconds;
}

static void fill_in(char field[CONSUL_NAME_MAX + 1], const char *asked, const char *configured)
{
    const char *value = *asked != '\0' ? asked : configured;

    OPENSSL_strlcpy(field, value == NULL ? "" : value, CONSUL_NAME_MAX + 1);
}

/* What was asked for, and the configuration where nothing was. */
static consul_scope effective_scope(const consul_store *store, const consul_scope *asked)
{
    static const consul_scope nothing;
    consul_scope scope;

    if (asked == NULL)
        asked = &nothing;
    fill_in(scope.ns, asked->ns, store->settings->ns);
    fill_in(scope.partition, asked->partition, store->settings->partition);
    fill_in(scope.dc, asked->dc, store->settings->datacenter);
    return scope;
}

static consul_roots *fetch_roots(consul_store *store, const consul_scope *scope,
                                 consul_deadline deadline, consul_error *err)
{
    const consul_request request = {
        .path = "/v1/agent/connect/ca/roots", .scope = scope, .deadline = deadline};
    consul_answer answer = {0};
    consul_roots *roots = NULL;

    if (consul_agent_request(store->agent, &request, &answer, err)) {
        roots = consul_roots_decode(answer.body, answer.len, store->libctx, err);
        if (roots == NULL)
            consul_error_prefix(err, "%s: ", answer.source);
    }
    consul_answer_free(&answer);
    return roots;
}

int consul_store_roots(consul_store *store, const consul_scope *scope, consul_deadline deadline,
                       consul_roots **roots, consul_error *err)
{
    consul_scope effective = effective_scope(store, scope);

    *roots = fetch_roots(store, &effective, deadline, err);
    return *roots != NULL;
}

/* One leaf, decoded and checked against roots that were fetched after it. */
static consul_leaf *fetch_leaf(consul_store *store, const char *service, const consul_scope *scope,
                               consul_deadline deadline, bool *stale, consul_error *err)
{
    const consul_request request = {.path = "/v1/agent/connect/ca/leaf/",
                                    .last_segment = service,
                                    .scope = scope,
                                    .deadline = deadline};
    consul_answer answer = {0};
    consul_leaf *leaf = NULL;
    consul_roots *roots = NULL;

    *stale = false;
    if (!consul_agent_request(store->agent, &request, &answer, err))
        goto done;
    leaf = consul_leaf_decode(answer.body, answer.len, store->libctx, err);
    if (leaf == NULL) {
        consul_error_prefix(err, "%s: ", answer.source);
        goto done;
    }
    roots = fetch_roots(store, scope, deadline, err);
    if (roots == NULL || !consul_leaf_check(leaf, roots, service, scope, stale, err)) {
        if (roots != NULL)
            consul_error_prefix(err, "%s: ", answer.source);
        consul_leaf_unref(leaf);
        leaf = NULL;
    }

done:
    consul_roots_unref(roots);
    consul_answer_free(&answer);
    return leaf;
}

int consul_store_leaf(consul_store *store, const char *service, const consul_scope *scope,
                      consul_deadline deadline, consul_leaf **leaf, consul_error *err)
{
    consul_scope effective = effective_scope(store, scope);
    consul_error first = {0};
    bool stale;

    *leaf = NULL;
    if (service == NULL || *service == '\0')
        service = store->settings->service;
    if (service == NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "no service is named and the setting service is not set");
    *leaf = fetch_leaf(store, service, &effective, deadline, &stale, &first);
    /* Roots and leaves change one after the other: a rotation in between is asked about again. */
    if (*leaf == NULL && stale) {
        first = (consul_error){0};
        *leaf = fetch_leaf(store, service, &effective, deadline, &stale, &first);
    }
    if (*leaf == NULL)
        consul_error_set(err, first.reason, "%s", first.text);
    return *leaf != NULL;
}

int consul_store_authorize(consul_store *store, const consul_spiffe_id *target, const X509 *peer,
                           const consul_spiffe_id *peer_id, consul_deadline deadline,
                           consul_error *err)
{
    return consul_agent_authorize(store->agent, store->settings, target, peer, peer_id, deadline,
                                  err);
}
