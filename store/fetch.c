/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "cache/hear.h"
#include "cache/single_flight.h"
#include "store_fields.h"
#include "watch/ask_ahead.h"
#include "watch/load.h"
#include "watch/process.h"

#include <stdlib.h>
#include <string.h>

#define LATEST_INDEX (UINT64_C(1) << 62) /* an index above that of every answer */
#define STALE_WAIT_MS 100 /* the wait for a newer leaf; its signature takes a fifth of that */

/*
 * Ask the agent for its roots, keep them, and return them. Return NULL with an error without an
 * answer. `*lost` is true then for a lost agent, or one that took all the time. The answer
 * overrules that of a watch, which may be broken without a sign.
 */
static consul_roots *ask_for_roots(consul_store *store, consul_entry *entry,
                                   consul_deadline deadline, bool *lost, consul_error *err)
{
    int64_t asked = consul_now_us();
    consul_answer answer;
    consul_error why = {0};
    consul_roots *roots = NULL;

    if (consul_store_ask(store, entry, 0, 0, deadline, &answer, &why))
        roots = consul_entry_decode_roots(entry, &answer, store->libctx, &why);
    if (roots != NULL && consul_entry_keep_roots(entry, roots, CONSUL_ASKED_ANEW, asked, 0))
        consul_tell_roots(entry, roots, &answer, asked);
    if (roots == NULL)
        consul_error_copy(err, &why);
    *lost = answer.lost || why.reason == CONSUL_R_AGENT_TIMEOUT;
    consul_answer_free(&answer);
    return roots;
}

/*
 * Return true for an answer without a leaf. A restarted agent gives an error, an empty body or
 * null.
 */
static bool is_none(const consul_answer *answer)
{
    return answer->body == NULL || strncmp(answer->body, "null", 4) == 0;
}

/* The ways to a leaf, each for where the one before has led to a stale leaf. */
enum way {
    WAY_KEPT,    /* the kept leaf, else the agent's present one */
    WAY_WAITING, /* a moment for a newer leaf */
    WAY_PLAIN, /* a request without an index: an agent signs anew for it after a rotation (1.16) */
    WAYS
};

/*
 * Ask the agent for a leaf newer than the kept one, or plainly. Return 0 with an error without an
 * answer.
 *
 * An agent renews only the leaves that a request waits for. A request without an index gets the old
 * leaf, even after a rotation or its expiry (Consul 1.8). So this request has the last index, or
 * one above all. The agent answers at once with its present leaf. It also looks for a newer one,
 * for ten minutes and without a connection. Only a caller with a stale leaf waits. An agent without
 * a leaf gives no answer to that. Since Consul 1.16 it sends not a byte. A request without an index
 * follows then.
 */
static int ask_for_newer(consul_store *store, consul_entry *entry, enum way way,
                         consul_deadline deadline, consul_answer *answer, consul_error *err)
{
    uint64_t index = way == WAY_PLAIN ? 0 : consul_entry_index(entry);
    consul_error why = {0};
    int ok = consul_store_ask(store, entry, index == 0 && way != WAY_PLAIN ? LATEST_INDEX : index,
                              way == WAY_WAITING ? STALE_WAIT_MS : 0, deadline, answer, &why);

    if (answer->cut_off || ((answer->status == 200 || answer->status == 500) && is_none(answer))) {
        consul_answer_free(answer);
        why = (consul_error){0};
        ok = consul_store_ask(store, entry, 0, 0, deadline, answer, &why);
    }
    if (!ok)
        return consul_error_copy(err, &why);
    consul_entry_set_index(entry, answer->index);
    return 1;
}

/* Return the kept roots, or a sibling's, where they are new enough. Return NULL otherwise: the caller asks. */
static consul_roots *kept_roots(consul_store *store, consul_entry *entry,
                                const consul_asking *asking)
{
    consul_hear_roots(entry, store->libctx);
    return consul_entry_roots_looked_at(entry, asking->since, consul_now_us(),
                                        consul_watch_is_first_of_busy(store->watch));
}

/*
 * Return true where a leaf is good with the current roots. `*roots` become the roots that it was
 * checked against, or NULL. A caller that hurries takes the kept roots. It asks for new ones only
 * where the leaf fails with them. So a client that comes and goes without a certificate costs no
 * request.
 */
static bool stands(consul_store *store, consul_entry *entry, consul_entry *of_roots,
                   const consul_leaf *leaf, const consul_asking *asking, bool anew,
                   consul_roots **roots, bool *stale, consul_error *err)
{
    bool lost;

    if (anew)
        *roots = NULL;
    else if (asking->hurries)
        *roots = consul_entry_roots(of_roots, asking->since);
    else
        *roots = kept_roots(store, of_roots, asking);
    if (*roots == NULL && !anew && asking->hurries) {
        *roots = consul_entry_roots(of_roots, CONSUL_EVER);
        if (consul_entry_check_leaf(entry, leaf, *roots, stale, NULL))
            return true;
        consul_roots_unref(*roots);
        *roots = NULL;
        *stale = false;
    }
    if (*roots == NULL)
        *roots = ask_for_roots(store, of_roots, asking->deadline, &lost, err);
    return *roots != NULL && consul_entry_check_leaf(entry, leaf, *roots, stale, err);
}

/*
 * Return a leaf, kept or from the agent, that is good with roots as new. Return NULL with an error
 * otherwise. Only WAY_KEPT uses kept snapshots. `*stale` is true where the next way could succeed.
 */
static consul_leaf *get_leaf(consul_store *store, consul_entry *entry, consul_entry *of_roots,
                             consul_asking asking, enum way way, bool *stale, consul_error *err)
{
    bool anew = way != WAY_KEPT;
    enum consul_origin origin = anew ? CONSUL_ASKED_ANEW : CONSUL_ASKED;
    int64_t asked = consul_now_us();
    consul_answer answer = {0};
    consul_roots *roots = NULL;
    consul_leaf *leaf = NULL;
    bool was_kept, ok = false;

    *stale = false;
    if (!anew)
        consul_hear_leaf(entry, store->libctx);
    if (!anew)
        leaf = consul_watch_is_busy(store->watch)
                   ? consul_entry_leaf_when_busy(entry, asking.since, asked)
                   : consul_entry_leaf(entry, asking.since);
    was_kept = leaf != NULL;
    if (!was_kept && ask_for_newer(store, entry, way, asking.deadline, &answer, err))
        leaf = consul_entry_decode_leaf(entry, &answer, store->libctx, err);
    if (leaf == NULL)
        goto done;
    ok = stands(store, entry, of_roots, leaf, &asking, anew, &roots, stale, err);
    *stale |= !ok && was_kept && roots != NULL;
    if (ok && !was_kept && consul_entry_keep_leaf(entry, leaf, roots, origin, asked, 0))
        consul_tell_leaf(entry, leaf, &answer, asked);
    if (!ok && !was_kept && roots != NULL)
        consul_error_prefix(err, "%s: ", answer.source);

done:
    if (!ok) {
        consul_leaf_unref(leaf);
        leaf = NULL;
    }
    consul_roots_unref(roots);
    consul_answer_free(&answer);
    return leaf;
}

/* ---- kept or from the agent ---- */

int consul_store_roots(consul_store *store, const consul_scope *scope, consul_asking asking,
                       consul_roots **roots, consul_error *err)
{
    consul_scope effective = consul_store_scope(store, scope);
    consul_entry *entry;
    consul_error why = {0};
    bool lost;

    *roots = NULL;
    consul_process_look();
    if (!consul_agent_load(store->agent, err)) /* before there is an entry: base/host_memory.h */
        return 0;
    consul_family_look(store->family);
    entry = consul_table_entry(store->table, CONSUL_KIND_ROOTS, "", &effective, err);
    if (entry == NULL)
        return 0;
    consul_watch_await_roots(store->watch, entry, asking.since, asking.deadline);
    *roots = kept_roots(store, entry, &asking);
    if (*roots != NULL)
        return 1;
    *roots = ask_for_roots(store, entry, asking.deadline, &lost, &why);
    if (*roots == NULL && (lost || !asking.strict))
        *roots = consul_entry_roots(entry, CONSUL_EVER);
    else if (*roots == NULL)
        *roots = kept_roots(store, entry, &asking);
    return *roots != NULL ? 1 : consul_error_copy(err, &why);
}

void consul_store_ask_ahead(consul_store *store, consul_asking asking, bool is_server)
{
    static const consul_request authorize_request = {.path = CONSUL_AUTHORIZE_PATH};
    consul_scope scope = consul_store_scope(store, NULL);
    consul_roots *kept;
    consul_entry *of_roots;
    char *guess = NULL;

    consul_process_look();
    if (!consul_agent_load(store->agent, NULL) || consul_watch_is_busy(store->watch)
        || (is_server
            && (guess = consul_visitors_guess(store->visitors, asking.connection)) == NULL))
        return;
    of_roots = consul_table_entry(store->table, CONSUL_KIND_ROOTS, "", &scope, NULL);
    if (of_roots == NULL || consul_watch_agent_hangs(store->watch, &authorize_request) != 0) {
        free(guess);
        return;
    }
    kept = kept_roots(store, of_roots, &asking);
    if (kept == NULL || guess != NULL)
        consul_watch_ask_ahead(store->watch, kept == NULL ? of_roots : NULL, guess,
                               asking.deadline);
    consul_roots_unref(kept);
}

typedef struct doubt {
    consul_store *store;
    consul_entry *entry;
    consul_deadline deadline;
} doubt;

/*
 * Ask for the roots, as a doubt. The verdict is the same for all threads that wait, and has no
 * meaning.
 */
static enum consul_verdict ask_anew(void *arg, consul_error *err)
{
    const doubt *d = arg;
    int64_t began = consul_now_ms();
    bool lost;

    if (!consul_entry_begin_doubt(d->entry))
        return CONSUL_VERDICT_NO;
    consul_roots_unref(ask_for_roots(d->store, d->entry, d->deadline, &lost, NULL));
    consul_entry_end_doubt(d->entry, consul_now_ms() - began);
    return CONSUL_VERDICT_YES;
}

bool consul_store_doubt_roots(consul_store *store, const consul_scope *scope, consul_asking asking,
                              consul_roots **roots)
{
    consul_scope effective = consul_store_scope(store, scope);
    consul_entry *entry = consul_table_entry(store->table, CONSUL_KIND_ROOTS, "", &effective, NULL);
    doubt d = {store, entry, asking.deadline};
    consul_roots *kept;

    if (entry == NULL)
        return false;
    kept = consul_entry_roots(entry, CONSUL_EVER);
    if (kept == *roots && !consul_entry_was_asked(entry, asking.since)) {
        consul_roots_unref(kept);
        consul_single_flight(entry, NULL, NULL, asking.deadline, ask_anew, &d, NULL);
        kept = consul_entry_roots(entry, CONSUL_EVER);
    }
    if (kept == NULL || kept == *roots) {
        consul_roots_unref(kept);
        return false;
    }
    consul_roots_unref(*roots);
    *roots = kept;
    return true;
}

/* Return the last known leaf, while it is good with the last known roots. Return NULL otherwise. */
static consul_leaf *last_leaf(consul_entry *entry, consul_entry *of_roots)
{
    consul_leaf *leaf = consul_entry_leaf(entry, CONSUL_EVER);
    consul_roots *roots = consul_entry_roots(of_roots, CONSUL_EVER);
    bool stale;

    if (leaf != NULL
        && (roots == NULL || !consul_entry_check_leaf(entry, leaf, roots, &stale, NULL))) {
        consul_leaf_unref(leaf);
        leaf = NULL;
    }
    consul_roots_unref(roots);
    return leaf;
}

static void tell_of_end(const consul_entry *entry, const consul_leaf *leaf)
{
    enum consul_event_kind stage;

    if (consul_leaf_is_ending(leaf, &stage))
        consul_event_tell(&(consul_event){
            .kind = stage, .service = entry->service, .leaf = consul_leaf_cert(leaf)});
}

/* Refuse without a leaf. Where the kept one has expired, that is the cause, whatever the agent has said. */
static int refuse_leaf(consul_entry *entry, const consul_error *why, consul_error *err)
{
    consul_leaf *last = consul_entry_leaf(entry, CONSUL_EVER);
    enum consul_event_kind stage;
    char date[CONSUL_DATE_MAX];

    if (last == NULL || !consul_leaf_is_ending(last, &stage)
        || stage != CONSUL_EVENT_LEAF_EXPIRED) {
        consul_leaf_unref(last);
        return consul_error_copy(err, why);
    }
    tell_of_end(entry, last);
    consul_cert_date(X509_get0_notAfter(consul_leaf_cert(last)), date);
    consul_leaf_unref(last);
    return consul_error_set(
        err, CONSUL_R_OWN_IDENTITY_INVALID,
        "the last leaf of \"%s\" expired on %s, and there is no newer one: %s: %s", entry->service,
        date, consul_reason_text(why->reason), why->text);
}

int consul_store_leaf(consul_store *store, const char *service, const consul_scope *scope,
                      consul_asking asking, consul_leaf **leaf, consul_error *err)
{
    consul_scope effective = consul_store_scope(store, scope);
    consul_entry *entry, *of_roots;
    consul_error first = {0};
    bool stale = true;
    enum way way;

    *leaf = NULL;
    consul_process_look();
    if (!consul_agent_load(store->agent, err)) /* likewise */
        return 0;
    consul_family_look(store->family);
    if (service == NULL || *service == '\0')
        service = store->settings->service;
    if (service == NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "no service is named and the setting service is not set");
    if ((entry = consul_table_entry(store->table, CONSUL_KIND_LEAF, service, &effective, err))
            == NULL
        || (of_roots = consul_table_entry(store->table, CONSUL_KIND_ROOTS, "", &effective, err))
               == NULL)
        return 0;
    /* Roots and leaves change one after the other. After a rotation in between, get both anew. */
    for (way = WAY_KEPT; way < WAYS && *leaf == NULL && stale; way++) {
        first = (consul_error){0};
        *leaf = get_leaf(store, entry, of_roots, asking, way, &stale, &first);
    }
    if (*leaf == NULL)
        *leaf = last_leaf(entry, of_roots);
    if (*leaf == NULL)
        return refuse_leaf(entry, &first, err);
    tell_of_end(entry, *leaf);
    return 1;
}
