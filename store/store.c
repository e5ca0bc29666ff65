#include "internal.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define VERDICT_AGE_MS 2000              /* for which one is used that a watch vouches for */
#define LAST_KNOWN_MAX_MS 3600000        /* for which one is used while the agent is lost */
#define LATEST_INDEX (UINT64_C(1) << 62) /* which no answer has */
#define STALE_WAIT_MS 100 /* for a leaf that will do; to sign one takes a fifth of that */

struct consul_store {
    atomic_int refs;
    OSSL_LIB_CTX *libctx;
    consul_settings *settings;
    consul_agent *agent;
    consul_live *live;
    consul_watch *watch;
    consul_known *known;
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
        || (store->known = consul_known_new(err)) == NULL) {
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

void consul_store_note_peer(consul_store *store)
{
    consul_watch_note_peer(store->watch);
}

const consul_settings *consul_store_settings(const consul_store *store)
{
    return store->settings;
}

/*
 * What was said before the machine slept is old, also for who was not there meanwhile. One clock for
 * the whole process; where it can be read no longer, all there is, is old.
 */
static void read_clock(struct timespec *now)
{
    static atomic_int chosen = -1;
    int clock = atomic_load_explicit(&chosen, memory_order_relaxed);

    if (clock < 0) {
        clock = CLOCK_MONOTONIC;
#ifdef CLOCK_BOOTTIME
        if (clock_gettime(CLOCK_BOOTTIME, now) == 0)
            clock = CLOCK_BOOTTIME;
#endif
        atomic_store_explicit(&chosen, clock, memory_order_relaxed);
    }
    if (clock_gettime(clock, now) != 0)
        *now = (struct timespec){.tv_sec = INT64_MAX / 2000000};
}

static int64_t now_us(void)
{
    struct timespec now;

    read_clock(&now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t now_ms(void)
{
    return now_us() / 1000;
}

consul_deadline consul_deadline_after(int64_t milliseconds)
{
    return now_ms() + milliseconds;
}

consul_asking consul_asking_now(void)
{
    return (consul_asking){.since = now_us(), .deadline = CONSUL_NO_DEADLINE};
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

consul_scope consul_store_scope(const consul_store *store, const consul_scope *asked)
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
static int check_agent(consul_store *store, const consul_request *request, consul_error *err)
{
    int reason = consul_watch_agent_hangs(store->watch, request);

    return reason == 0
           || consul_error_set(
               err, reason,
               "the agent at %s has %s; it is being tried, and nobody waits for it meanwhile",
               store->settings->address,
               reason == CONSUL_R_AGENT_REFUSED ? "answered HTTP status 429 for some time"
                                                : "left requests without an answer");
}

static int ask(consul_store *store, const consul_entry *entry, uint64_t index, int64_t wait,
               consul_deadline deadline, consul_answer *answer, consul_error *err)
{
    consul_request request = consul_entry_request(entry);
    consul_error why = {0};

    memset(answer, 0, sizeof(*answer));
    request.index = index;
    request.wait = wait;
    request.deadline = deadline;
    if (!check_agent(store, &request, err))
        return 0;
    if (consul_agent_request(store->agent, &request, answer, &why))
        return 1;
    consul_watch_note_failure(store->watch, &request, answer, &why);
    return consul_error_set(err, why.reason, "%s", why.text);
}

/* What it says goes before what a watch has said, which may be broken and not know. */
static consul_roots *ask_for_roots(consul_store *store, consul_entry *entry,
                                   consul_deadline deadline, consul_error *err)
{
    int64_t asked = now_us();
    consul_answer answer;
    consul_roots *roots = NULL;

    if (ask(store, entry, 0, 0, deadline, &answer, err))
        roots = consul_entry_decode_roots(entry, &answer, store->libctx, err);
    if (roots != NULL)
        consul_entry_keep_roots(entry, roots, CONSUL_ASKED_ANEW, asked);
    consul_answer_free(&answer);
    return roots;
}

/*
 * Does the leaf stand, here and now, with these roots, or by itself for NULL? Verifying its chain costs
 * a tenth of a handshake and is done once for each pair.
 */
static int check_leaf(consul_entry *entry, const consul_leaf *leaf, consul_roots *roots,
                      bool *stale, consul_error *err)
{
    bool chains = roots == NULL || consul_entry_chains(entry, leaf, roots);

    if (!consul_leaf_check(leaf, roots, entry->service, &entry->scope, chains, stale, err))
        return 0;
    if (!chains)
        consul_entry_set_chains(entry, leaf, roots);
    return 1;
}

/* An agent that has restarted, and has no leaf yet, answers with an error, nothing or null. */
static bool is_none(const consul_answer *answer)
{
    return answer->body == NULL || strncmp(answer->body, "null", 4) == 0;
}

/*
 * An agent renews the leaves that somebody waits for, and no others: a plain question is answered
 * with the leaf of before, also after a rotation and when it has expired (seen with Consul 1.8). So
 * we ask for a newer one than we know of, or than there can be. That is answered at once with what there
 * is, but has the agent look for it, for ten minutes and without a connection; only who has a stale one
 * waits. From where there is none yet no answer comes, and, since Consul 1.16, not a byte.
 */
static int ask_for_newer(consul_store *store, consul_entry *entry, bool is_stale,
                         consul_deadline deadline, consul_answer *answer, consul_error *err)
{
    uint64_t index = consul_entry_index(entry);
    consul_error why = {0};
    int ok = ask(store, entry, index == 0 ? LATEST_INDEX : index, is_stale ? STALE_WAIT_MS : 0,
                 deadline, answer, &why);

    if (answer->cut_off || ((answer->status == 200 || answer->status == 500) && is_none(answer))) {
        consul_answer_free(answer);
        why = (consul_error){0};
        ok = ask(store, entry, 0, 0, deadline, answer, &why);
    }
    if (!ok)
        return consul_error_set(err, why.reason, "%s", why.text);
    consul_entry_set_index(entry, answer->index);
    return 1;
}

/*
 * Does this leaf stand with the current roots? Before a client has shown a certificate they are asked
 * for only where it does not stand with those of before, if there are any: a client that just comes and
 * goes does not cost that question. `*roots` are what it was held against, or NULL.
 */
static bool stands(consul_store *store, consul_entry *entry, consul_entry *of_roots,
                   const consul_leaf *leaf, const consul_asking *asking, bool anew,
                   consul_roots **roots, bool *stale, consul_error *err)
{
    if (anew)
        *roots = NULL;
    else if (asking->hurries)
        *roots = consul_entry_roots(of_roots, asking->since);
    else
        *roots = consul_entry_roots_looked_at(of_roots, asking->since, now_us());
    if (*roots == NULL && !anew && asking->hurries) {
        *roots = consul_entry_roots(of_roots, CONSUL_EVER);
        if (check_leaf(entry, leaf, *roots, stale, NULL))
            return true;
        consul_roots_unref(*roots);
        *roots = NULL;
        *stale = false;
    }
    if (*roots == NULL)
        *roots = ask_for_roots(store, of_roots, asking->deadline, err);
    return *roots != NULL && check_leaf(entry, leaf, *roots, stale, err);
}

/*
 * One leaf, kept or asked for, checked against roots that are no older. `anew`: nothing is taken
 * from before. `*stale` tells whether that could mend a failure.
 */
static consul_leaf *get_leaf(consul_store *store, consul_entry *entry, consul_entry *of_roots,
                             consul_asking asking, bool anew, bool *stale, consul_error *err)
{
    enum consul_origin origin = anew ? CONSUL_ASKED_ANEW : CONSUL_ASKED;
    int64_t asked = now_us();
    consul_answer answer = {0};
    consul_roots *roots = NULL;
    consul_leaf *leaf = NULL;
    bool was_kept, ok = false;

    *stale = false;
    if (!anew)
        leaf = consul_watch_is_busy(store->watch)
                   ? consul_entry_leaf_in_crowd(entry, asking.since, asked)
                   : consul_entry_leaf(entry, asking.since);
    was_kept = leaf != NULL;
    if (!was_kept && ask_for_newer(store, entry, anew, asking.deadline, &answer, err))
        leaf = consul_entry_decode_leaf(entry, &answer, store->libctx, err);
    if (leaf == NULL)
        goto done;
    ok = stands(store, entry, of_roots, leaf, &asking, anew, &roots, stale, err);
    *stale |= !ok && was_kept && roots != NULL;
    if (ok && !was_kept)
        consul_entry_keep_leaf(entry, leaf, roots, origin, asked);
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

/* ---- what it says or has said ---- */

int consul_store_roots(consul_store *store, const consul_scope *scope, consul_asking asking,
                       consul_roots **roots, consul_error *err)
{
    consul_scope effective = consul_store_scope(store, scope);
    consul_entry *entry = consul_live_entry(store->live, CONSUL_KIND_ROOTS, "", &effective, err);
    consul_error why = {0};

    *roots = entry == NULL ? NULL : consul_entry_roots_looked_at(entry, asking.since, now_us());
    if (*roots == NULL && entry != NULL)
        *roots = ask_for_roots(store, entry, asking.deadline, &why);
    if (*roots == NULL && entry != NULL)
        *roots = consul_entry_roots(entry, CONSUL_EVER);
    if (*roots == NULL)
        consul_error_set(err, why.reason, "%s", why.text);
    return *roots != NULL;
}

typedef struct doubt {
    consul_store *store;
    consul_entry *entry;
    consul_deadline deadline;
} doubt;

/* Whatever comes of it is the same for all who wait. */
static enum consul_verdict ask_anew(void *arg, consul_error *err)
{
    const doubt *d = arg;
    int64_t began = now_ms();

    if (!consul_entry_begin_doubt(d->entry))
        return CONSUL_VERDICT_NO;
    consul_roots_unref(ask_for_roots(d->store, d->entry, d->deadline, NULL));
    consul_entry_end_doubt(d->entry, now_ms() - began);
    return CONSUL_VERDICT_YES;
}

bool consul_store_doubt_roots(consul_store *store, const consul_scope *scope, consul_asking asking,
                              consul_roots **roots)
{
    consul_scope effective = consul_store_scope(store, scope);
    consul_entry *entry = consul_live_entry(store->live, CONSUL_KIND_ROOTS, "", &effective, NULL);
    doubt d = {store, entry, asking.deadline};
    consul_roots *kept;

    if (entry == NULL)
        return false;
    kept = consul_entry_roots(entry, CONSUL_EVER);
    if (kept == *roots && !consul_entry_was_asked(entry, asking.since)) {
        consul_roots_unref(kept);
        consul_coalesce(entry, NULL, NULL, asking.deadline, ask_anew, &d, NULL);
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

/* The last leaf that is known, while it stands with the last roots; NULL if it does not. */
static consul_leaf *last_leaf(consul_entry *entry, consul_entry *of_roots)
{
    consul_leaf *leaf = consul_entry_leaf(entry, CONSUL_EVER);
    consul_roots *roots = consul_entry_roots(of_roots, CONSUL_EVER);
    bool stale;

    if (leaf != NULL && (roots == NULL || !check_leaf(entry, leaf, roots, &stale, NULL))) {
        consul_leaf_unref(leaf);
        leaf = NULL;
    }
    consul_roots_unref(roots);
    return leaf;
}

int consul_store_leaf(consul_store *store, const char *service, const consul_scope *scope,
                      consul_asking asking, consul_leaf **leaf, consul_error *err)
{
    consul_scope effective = consul_store_scope(store, scope);
    consul_entry *entry, *of_roots;
    consul_error first = {0};
    bool stale;

    *leaf = NULL;
    if (service == NULL || *service == '\0')
        service = store->settings->service;
    if (service == NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "no service is named and the setting service is not set");
    if ((entry = consul_live_entry(store->live, CONSUL_KIND_LEAF, service, &effective, err)) == NULL
        || (of_roots = consul_live_entry(store->live, CONSUL_KIND_ROOTS, "", &effective, err))
               == NULL)
        return 0;
    *leaf = get_leaf(store, entry, of_roots, asking, false, &stale, &first);
    /* Roots and leaves change one after the other: a rotation in between is asked about again. */
    if (*leaf == NULL && stale) {
        first = (consul_error){0};
        *leaf = get_leaf(store, entry, of_roots, asking, true, &stale, &first);
    }
    if (*leaf == NULL)
        *leaf = last_leaf(entry, of_roots);
    if (*leaf == NULL)
        consul_error_set(err, first.reason, "%s", first.text);
    return *leaf != NULL;
}

/* ---- decisions ---- */

static const consul_request decision = {.path = CONSUL_AUTHORIZE_PATH};

/*
 * What is known of the target's intentions. Agents that can not be waited for to tell of one
 * service's are watched for everybody's. Either may be NULL.
 */
typedef struct target_intentions {
    consul_entry *own, *all;
} target_intentions;

static target_intentions intentions_of(consul_store *store, const consul_spiffe_id *target)
{
    consul_scope scope = consul_store_scope(store, NULL);
    target_intentions entries;

    if (*scope.ns != '\0' || strcmp(target->scope.ns, "default") != 0)
        OPENSSL_strlcpy(scope.ns, target->scope.ns, sizeof(scope.ns));
    if (*scope.partition != '\0' || strcmp(target->scope.partition, "default") != 0)
        OPENSSL_strlcpy(scope.partition, target->scope.partition, sizeof(scope.partition));
    *scope.dc = '\0'; /* the agent decides by what it knows in its own */
    entries.own =
        consul_live_entry(store->live, CONSUL_KIND_INTENTIONS, target->service, &scope, NULL);
    entries.all = consul_live_all_intentions(store->live, &scope);
    return entries;
}

/* The epoch that they are in, or 0 where no watch vouches for any. */
static uint64_t epoch_of(const target_intentions *entries)
{
    uint64_t epoch = entries->own == NULL ? 0 : consul_entry_epoch(entries->own);

    return epoch != 0 || entries->all == NULL ? epoch : consul_entry_epoch(entries->all);
}

/* Has a watch seen them change since that moment, or so shortly before that it may not have counted? */
static bool have_changed(const target_intentions *entries, int64_t since)
{
    return (entries->own != NULL && consul_entry_has_changed(entries->own, since))
           || (entries->all != NULL && consul_entry_has_changed(entries->all, since));
}

/* Was this yes said to the very same question, not long ago, and has nothing changed since? */
static bool still_holds(const consul_known_verdict *earlier, const consul_known_verdict *now)
{
    return earlier->verdict == CONSUL_VERDICT_YES && now->epoch != 0 && earlier->epoch == now->epoch
           && now->asked - earlier->asked < VERDICT_AGE_MS;
}

typedef struct authorize_call {
    consul_store *store;
    const consul_spiffe_id *target, *peer_id;
    const X509 *peer;
    consul_deadline deadline;
} authorize_call;

/* What the agent says now; for anything but a yes, `err` says why. */
static enum consul_verdict ask_about(void *arg, consul_error *err)
{
    const authorize_call *call = arg;

    if (!check_agent(call->store, &decision, err))
        return CONSUL_VERDICT_UNASKED;
    return consul_agent_authorize(call->store->agent, call->store->settings, call->store->watch,
                                  call->target, call->peer, call->peer_id, call->deadline, err);
}

/* The agent is lost: what it has said last, if that was not long ago and nothing has changed since. */
static enum consul_verdict last_verdict(const authorize_call *call,
                                        const target_intentions *entries, consul_error *why)
{
    consul_known_verdict last = consul_known_last(call->store->known, call->target, call->peer_id);
    const char *but = NULL;

    if (last.verdict == CONSUL_VERDICT_NO)
        but = "it was denied before the agent was lost";
    else if (last.verdict == CONSUL_VERDICT_YES && now_ms() - last.asked >= LAST_KNOWN_MAX_MS)
        but = "it was admitted too long before the agent was lost";
    else if (last.verdict == CONSUL_VERDICT_YES && have_changed(entries, last.asked))
        but = "intentions have changed since it was admitted, before the agent was lost";
    if (but != NULL)
        consul_error_prefix(why, "%s: ", but);
    return but == NULL ? last.verdict : CONSUL_VERDICT_NO;
}

/* Has it left a question without an answer, which another handshake, perhaps, has asked? */
static bool agent_hangs(consul_store *store)
{
    return consul_watch_agent_hangs(store->watch, &decision) == CONSUL_R_AGENT_TIMEOUT;
}

/* What a watch has shown and vouches for no longer is asked for, as often as anybody's doubts may. */
static consul_intentions *unheeded_anew(consul_store *store, consul_entry *entry,
                                        consul_intentions *kept, consul_deadline deadline)
{
    int64_t began = now_ms();
    consul_intentions *unheeded;
    consul_answer answer;

    if (!consul_entry_begin_doubt(entry))
        return kept;
    if (ask(store, entry, 0, 0, deadline, &answer, NULL)
        && consul_intentions_decode(answer.body, answer.len, &unheeded, NULL)) {
        consul_entry_keep_unheeded(entry, unheeded);
        consul_intentions_unref(kept);
        kept = unheeded;
    }
    consul_entry_end_doubt(entry, now_ms() - began);
    consul_answer_free(&answer);
    return kept;
}

/* The agent has said yes: is there an intention that it does not heed, by which it should not have? */
static int yes_stands(const authorize_call *call, const target_intentions *entries,
                      consul_error *err)
{
    consul_intentions *unheeded = NULL;
    bool fresh = true;
    int ok;

    if (entries->own != NULL)
        unheeded = consul_entry_unheeded(entries->own, &fresh);
    if (unheeded == NULL)
        return 1;
    ok = consul_intentions_stand_for(unheeded, call->target, call->peer_id, NULL);
    if (!ok && !fresh)
        unheeded = unheeded_anew(call->store, entries->own, unheeded, call->deadline);
    ok = ok || consul_intentions_stand_for(unheeded, call->target, call->peer_id, err);
    consul_intentions_unref(unheeded);
    return ok;
}

int consul_store_authorize(consul_store *store, const consul_spiffe_id *target, const X509 *peer,
                           const unsigned char chain[CONSUL_DIGEST_LEN],
                           const consul_spiffe_id *peer_id, consul_asking asking, consul_error *err)
{
    bool has_digest = consul_digest_is_set(chain);
    authorize_call call = {store, target, peer_id, peer, asking.deadline};
    consul_known_verdict earlier, now = {.asked = now_ms()};
    target_intentions entries = intentions_of(store, target);
    consul_error why = {0};

    earlier = consul_known_find(store->known, target, peer_id, chain);
    if (has_digest && consul_watch_agent_hangs(store->watch, &decision) == 0)
        now.epoch = epoch_of(&entries);
    if (still_holds(&earlier, &now))
        return yes_stands(&call, &entries, err);
    now.verdict =
        has_digest ? consul_coalesce(store, target, chain, asking.deadline, ask_about, &call, &why)
                   : ask_about(&call, &why);
    if (now.verdict == CONSUL_VERDICT_UNASKED && agent_hangs(store))
        now.verdict = CONSUL_VERDICT_LOST;
    /* It may have been said long after this began: only who asks from now on knows better. */
    if (now.verdict != CONSUL_VERDICT_YES)
        now.asked = now_ms();
    /* Also that it said neither, to a token that was revoked, say: an earlier yes is over then. */
    if (now.verdict != CONSUL_VERDICT_LOST && now.verdict != CONSUL_VERDICT_UNASKED)
        consul_known_note(store->known, target, peer_id, chain, &now);
    else if (now.verdict == CONSUL_VERDICT_LOST
             && store->settings->on_agent_loss == CONSUL_LOSS_LAST_KNOWN)
        now.verdict = last_verdict(&call, &entries, &why);
    if (now.verdict != CONSUL_VERDICT_YES)
        return consul_error_set(err, why.reason, "%s", why.text);
    return yes_stands(&call, &entries, err);
}
