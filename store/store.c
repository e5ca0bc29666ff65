#include "internal.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

struct consul_store {
    atomic_int refs;
    OSSL_LIB_CTX *libctx;
    consul_settings *settings;
    consul_agent *agent;
    consul_live *live;
    consul_watch *watch;
    consul_known *known; /* NULL where nothing known counts */
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
    if ((store->agent = consul_agent_new(settings, err)) == NULL
        || (store->live = consul_live_new(err)) == NULL
        || (store->watch = consul_watch_new(store->agent, store->live, libctx, err)) == NULL
        || (settings->on_agent_loss == CONSUL_LOSS_LAST_KNOWN
            && (store->known = consul_known_new(err)) == NULL)) {
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
    consul_watch_free(store->watch);
    consul_live_free(store->live);
    consul_known_free(store->known);
    consul_agent_free(store->agent);
    consul_settings_free(store->settings);
    OPENSSL_free(store);
}

void consul_store_close(consul_store *store)
{
    consul_watch_close(store->watch);
}

void consul_store_expect(consul_store *store)
{
    consul_watch_expect(store->watch);
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

int64_t consul_jitter(int64_t most)
{
    struct timespec now;
    uint64_t mixed;

    clock_gettime(CLOCK_MONOTONIC, &now);
    mixed = ((uint64_t)now.tv_nsec ^ ((uint64_t)getpid() << 20)) * 0x9e3779b97f4a7c15u;
    return most / 2 + (int64_t)((mixed >> 33) % (uint64_t)(most / 2 + 1));
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

/* ---- what the agent says now ---- */

/* Is there use in asking it? One that hangs would hold up everybody for the whole timeout. */
static int check_agent(consul_store *store, consul_error *err)
{
    return !consul_watch_agent_hangs(store->watch)
           || consul_error_set(err, CONSUL_R_AGENT_TIMEOUT,
                               "the agent at %s has left requests without an answer; it is being "
                               "tried, and nobody waits for it meanwhile",
                               store->settings->address);
}

static int ask(consul_store *store, const consul_entry *entry, consul_deadline deadline,
               consul_answer *answer, consul_error *err)
{
    consul_request request = consul_entry_request(entry);
    consul_error why = {0};

    memset(answer, 0, sizeof(*answer));
    request.deadline = deadline;
    if (!check_agent(store, err))
        return 0;
    if (consul_agent_request(store->agent, &request, answer, &why))
        return 1;
    if (why.reason == CONSUL_R_AGENT_TIMEOUT)
        consul_watch_note_timeout(store->watch);
    return consul_error_set(err, why.reason, "%s", why.text);
}

static consul_roots *ask_for_roots(consul_store *store, consul_entry *entry,
                                   consul_deadline deadline, enum consul_origin origin,
                                   consul_error *err)
{
    consul_answer answer;
    consul_roots *roots = NULL;

    if (ask(store, entry, deadline, &answer, err))
        roots = consul_entry_decode_roots(entry, &answer, store->libctx, err);
    if (roots != NULL)
        consul_entry_keep_roots(entry, roots, origin, 0);
    consul_answer_free(&answer);
    return roots;
}

/*
 * Does the leaf stand, here and now, with these roots? Verifying its chain costs a tenth of a
 * handshake and is done once for each pair.
 */
static int check_leaf(consul_entry *entry, const consul_leaf *leaf, consul_roots *roots,
                      bool *stale, consul_error *err)
{
    bool chains = consul_entry_chains(entry, leaf, roots);

    if (!consul_leaf_check(leaf, roots, entry->service, &entry->scope, chains, stale, err))
        return 0;
    if (!chains)
        consul_entry_set_chains(entry, leaf, roots);
    return 1;
}

/* One leaf, decoded and checked against roots that the agent was asked for after it. */
static consul_leaf *ask_for_leaf(consul_store *store, consul_entry *entry, consul_entry *of_roots,
                                 consul_deadline deadline, bool *stale, consul_error *err)
{
    bool anew = *stale;
    consul_answer answer;
    consul_leaf *leaf = NULL;
    consul_roots *roots = NULL;

    *stale = false;
    if (!ask(store, entry, deadline, &answer, err)
        || (leaf = consul_entry_decode_leaf(entry, &answer, store->libctx, err)) == NULL)
        goto done;
    if (!anew)
        roots = consul_entry_roots(of_roots, true);
    if (roots == NULL)
        roots =
            ask_for_roots(store, of_roots, deadline, anew ? CONSUL_ASKED_ANEW : CONSUL_ASKED, err);
    if (roots == NULL || !check_leaf(entry, leaf, roots, stale, err)) {
        if (roots != NULL)
            consul_error_prefix(err, "%s: ", answer.source);
        consul_leaf_unref(leaf);
        leaf = NULL;
        goto done;
    }
    consul_entry_keep_leaf(entry, leaf, roots, anew ? CONSUL_ASKED_ANEW : CONSUL_ASKED, 0);

done:
    consul_roots_unref(roots);
    consul_answer_free(&answer);
    return leaf;
}

/* ---- what it says or has said ---- */

int consul_store_roots(consul_store *store, const consul_scope *scope, consul_deadline deadline,
                       consul_roots **roots, consul_error *err)
{
    consul_scope effective = effective_scope(store, scope);
    consul_entry *entry = consul_live_entry(store->live, NULL, &effective, err);
    consul_error why = {0};

    *roots = entry == NULL ? NULL : consul_entry_roots(entry, true);
    if (*roots == NULL && entry != NULL)
        *roots = ask_for_roots(store, entry, deadline, CONSUL_ASKED, &why);
    if (*roots == NULL && entry != NULL)
        *roots = consul_entry_roots(entry, false);
    if (*roots == NULL)
        consul_error_set(err, why.reason, "%s", why.text);
    return *roots != NULL;
}

int consul_store_roots_anew(consul_store *store, const consul_scope *scope,
                            consul_deadline deadline, consul_roots **roots, consul_error *err)
{
    consul_scope effective = effective_scope(store, scope);
    consul_entry *entry = consul_live_entry(store->live, NULL, &effective, err);

    *roots = entry == NULL ? NULL : ask_for_roots(store, entry, deadline, CONSUL_ASKED_ANEW, err);
    return *roots != NULL;
}

/* A leaf and roots that watches vouch for, or any that are kept; NULL if they do not go together. */
static consul_leaf *kept_leaf(consul_entry *entry, consul_entry *of_roots, bool fresh_only)
{
    consul_leaf *leaf = consul_entry_leaf(entry, fresh_only);
    consul_roots *roots = consul_entry_roots(of_roots, fresh_only);
    bool stale;

    if (leaf != NULL && (roots == NULL || !check_leaf(entry, leaf, roots, &stale, NULL))) {
        consul_leaf_unref(leaf);
        leaf = NULL;
    }
    consul_roots_unref(roots);
    return leaf;
}

int consul_store_leaf(consul_store *store, const char *service, const consul_scope *scope,
                      consul_deadline deadline, consul_leaf **leaf, consul_error *err)
{
    consul_scope effective = effective_scope(store, scope);
    consul_entry *entry, *of_roots;
    consul_error first = {0};
    bool stale = false;

    *leaf = NULL;
    if (service == NULL || *service == '\0')
        service = store->settings->service;
    if (service == NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "no service is named and the setting service is not set");
    if ((entry = consul_live_entry(store->live, service, &effective, err)) == NULL
        || (of_roots = consul_live_entry(store->live, NULL, &effective, err)) == NULL)
        return 0;
    if ((*leaf = kept_leaf(entry, of_roots, true)) != NULL)
        return 1;
    *leaf = ask_for_leaf(store, entry, of_roots, deadline, &stale, &first);
    /* Roots and leaves change one after the other: a rotation in between is asked about again. */
    if (*leaf == NULL && stale) {
        first = (consul_error){0};
        *leaf = ask_for_leaf(store, entry, of_roots, deadline, &stale, &first);
    }
    if (*leaf == NULL)
        *leaf = kept_leaf(entry, of_roots, false);
    if (*leaf == NULL)
        consul_error_set(err, first.reason, "%s", first.text);
    return *leaf != NULL;
}

/* ---- decisions ---- */

int consul_store_authorize(consul_store *store, const consul_spiffe_id *target, const X509 *peer,
                           const consul_spiffe_id *peer_id, consul_deadline deadline,
                           consul_error *err)
{
    enum consul_verdict verdict = CONSUL_VERDICT_LOST;
    consul_error why = {0};

    if (check_agent(store, &why)) {
        verdict = consul_agent_authorize(store->agent, store->settings, target, peer, peer_id,
                                         deadline, &why);
        if (why.reason == CONSUL_R_AGENT_TIMEOUT)
            consul_watch_note_timeout(store->watch);
    }
    if (store->known != NULL && (verdict == CONSUL_VERDICT_YES || verdict == CONSUL_VERDICT_NO))
        consul_known_note(store->known, target, peer_id, verdict);
    if (store->known != NULL && verdict == CONSUL_VERDICT_LOST) {
        verdict = consul_known_find(store->known, target, peer_id);
        if (verdict == CONSUL_VERDICT_NO)
            consul_error_prefix(&why, "it was denied before the agent was lost: ");
    }
    if (verdict != CONSUL_VERDICT_YES)
        consul_error_set(err, why.reason, "%s", why.text);
    return verdict == CONSUL_VERDICT_YES;
}
