#include "internal.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define BUCKETS 256
#define ENTRIES_MAX 16384  /* of one store, which names come from local files and settings */
#define SETTLING_MS 3000   /* until the agent's decisions have followed a change, with certainty */
#define DOUBT_PAUSE_MS 100 /* between two doubts, in the long run */
#define DOUBTS_AT_ONCE 20
#define LONGEST_WAIT_MS 3600000 /* before the deadline is looked at again */

struct consul_live {
    size_t count;
    consul_entry *buckets[BUCKETS];
};

static pthread_mutex_t live_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_epoch; /* under the lock */

void consul_live_lock(void)
{
    pthread_mutex_lock(&live_lock);
}

void consul_live_unlock(void)
{
    pthread_mutex_unlock(&live_lock);
}

bool consul_live_make_condition(pthread_cond_t *condition)
{
    pthread_condattr_t monotonic;
    bool made;

    if (pthread_condattr_init(&monotonic) != 0)
        return false;
    made = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0
           && pthread_cond_init(condition, &monotonic) == 0;
    pthread_condattr_destroy(&monotonic);
    return made;
}

/* Conditions know no clock that goes on while the machine sleeps: they are told how much is left. */
bool consul_live_wait(pthread_cond_t *condition, consul_deadline deadline)
{
    int64_t left = deadline - consul_deadline_after(0);
    struct timespec until;

    if (left > LONGEST_WAIT_MS)
        left = LONGEST_WAIT_MS;
    if (left <= 0)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(left / 1000);
    until.tv_nsec += (long)(left % 1000 * 1000000);
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(condition, &live_lock, &until);
    return consul_deadline_after(0) < deadline;
}

consul_live *consul_live_new(consul_error *err)
{
    consul_live *live = OPENSSL_zalloc(sizeof(*live));

    if (live == NULL)
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the store");
    return live;
}

void consul_live_free(consul_live *live)
{
    size_t i;

    for (i = 0; live != NULL && i < BUCKETS; i++) {
        while (live->buckets[i] != NULL) {
            consul_entry *entry = live->buckets[i];

            live->buckets[i] = entry->next;
            consul_roots_unref(entry->roots);
            consul_roots_unref(entry->checked);
            consul_leaf_unref(entry->leaf);
            OPENSSL_free(entry);
        }
    }
    OPENSSL_free(live);
}

/* ---- entries ---- */

static size_t bucket_of(const char *service)
{
    size_t hash = 5381;

    while (*service != '\0')
        hash = hash * 33 + (unsigned char)*service++;
    return hash % BUCKETS;
}

static bool is_of(const consul_entry *entry, enum consul_kind kind, const char *service,
                  const consul_scope *scope)
{
    return entry->kind == kind && strcmp(entry->service, service) == 0
           && strcmp(entry->scope.dc, scope->dc) == 0 && strcmp(entry->scope.ns, scope->ns) == 0
           && strcmp(entry->scope.partition, scope->partition) == 0;
}

static consul_entry *find(consul_live *live, size_t bucket, enum consul_kind kind,
                          const char *service, const consul_scope *scope)
{
    consul_entry *entry = live->buckets[bucket];

    while (entry != NULL && !is_of(entry, kind, service, scope))
        entry = entry->next;
    return entry;
}

consul_entry *consul_live_entry(consul_live *live, enum consul_kind kind, const char *service,
                                const consul_scope *scope, consul_error *err)
{
    size_t bucket = bucket_of(service);
    consul_entry *entry, *made = NULL;

    consul_live_lock();
    entry = find(live, bucket, kind, service, scope);
    if (entry == NULL && live->count < ENTRIES_MAX
        && (made = OPENSSL_zalloc(sizeof(*made))) != NULL) {
        made->kind = kind;
        OPENSSL_strlcpy(made->service, service, sizeof(made->service));
        made->scope = *scope;
        made->next = live->buckets[bucket];
        live->buckets[bucket] = made;
        live->count++;
        entry = made;
    }
    if (entry != NULL)
        entry->uses++;
    consul_live_unlock();
    if (entry == NULL)
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY,
                         "a place for \"%s\", or it would be one of "
                         "more than %d services",
                         kind == CONSUL_KIND_ROOTS ? "roots" : service, ENTRIES_MAX);
    return entry;
}

/* Nobody's in particular: it is used beside each of the others. */
static bool is_of_everybody(const consul_entry *entry)
{
    return entry->kind == CONSUL_KIND_INTENTIONS && *entry->service == '\0';
}

consul_entry *consul_live_most_used(consul_live *live, enum consul_kind kind)
{
    consul_entry *entry, *most = NULL;
    size_t i;

    consul_live_lock();
    for (i = 0; i < BUCKETS; i++) {
        for (entry = live->buckets[i]; entry != NULL; entry = entry->next) {
            if (entry->kind == kind && !is_of_everybody(entry)
                && (most == NULL || entry->uses > most->uses))
                most = entry;
        }
    }
    for (i = 0; i < BUCKETS; i++) {
        for (entry = live->buckets[i]; entry != NULL; entry = entry->next) {
            if (entry->kind == kind)
                entry->uses = 0;
        }
    }
    consul_live_unlock();
    return most;
}

static bool is_default(const char *name)
{
    return *name == '\0' || strcmp(name, "default") == 0;
}

consul_entry *consul_live_all_intentions(consul_live *live, const consul_scope *scope)
{
    if (!is_default(scope->ns) || !is_default(scope->partition))
        return NULL;
    return consul_live_entry(live, CONSUL_KIND_INTENTIONS, "", scope, NULL);
}

void consul_live_doubt_all(consul_live *live)
{
    consul_entry *entry;
    size_t i;

    for (i = 0; i < BUCKETS; i++) {
        for (entry = live->buckets[i]; entry != NULL; entry = entry->next)
            entry->fresh_until = 0;
    }
}

/* ---- what is kept ---- */

static bool is_fresh(const consul_entry *entry)
{
    return entry->fresh_until != 0 && consul_deadline_after(0) < entry->fresh_until;
}

static bool is_new_enough(const consul_entry *entry, int64_t since)
{
    return entry->asked >= since || is_fresh(entry);
}

consul_roots *consul_entry_roots(consul_entry *entry, int64_t since)
{
    consul_roots *roots = NULL;

    consul_live_lock();
    if (entry->roots != NULL && is_new_enough(entry, since))
        roots = consul_roots_ref(entry->roots);
    consul_live_unlock();
    return roots;
}

consul_leaf *consul_entry_leaf(consul_entry *entry, int64_t since)
{
    consul_leaf *leaf = NULL;

    consul_live_lock();
    if (entry->leaf != NULL && is_new_enough(entry, since))
        leaf = consul_leaf_ref(entry->leaf);
    consul_live_unlock();
    return leaf;
}

bool consul_entry_chains(const consul_entry *entry, const consul_leaf *leaf,
                         const consul_roots *roots)
{
    bool chains;

    consul_live_lock();
    chains = entry->leaf == leaf && entry->checked == roots && time(NULL) < entry->checked_until;
    consul_live_unlock();
    return chains;
}

/* With the lock held. Returns what is to be released outside of it. */
static consul_roots *set_checked(consul_entry *entry, consul_roots *roots, time_t until)
{
    consul_roots *old = entry->checked;

    entry->checked = consul_roots_ref(roots);
    entry->checked_until = until;
    return old;
}

void consul_entry_set_chains(consul_entry *entry, const consul_leaf *leaf, consul_roots *roots)
{
    time_t until = consul_leaf_next_expiry(leaf, roots);
    consul_roots *old = NULL;

    consul_live_lock();
    if (entry->leaf == leaf)
        old = set_checked(entry, roots, until);
    consul_live_unlock();
    consul_roots_unref(old);
}

/* The digest of an answer; zeros without memory, which is the digest of none. */
static void digest_answer(const consul_answer *answer, unsigned char digest[CONSUL_DIGEST_LEN])
{
    if (EVP_Digest(answer->body, answer->len, digest, NULL, EVP_sha256(), NULL) != 1)
        memset(digest, 0, CONSUL_DIGEST_LEN);
}

static bool is_digest(const unsigned char kept[CONSUL_DIGEST_LEN],
                      const unsigned char digest[CONSUL_DIGEST_LEN])
{
    static const unsigned char none[CONSUL_DIGEST_LEN];

    return memcmp(kept, digest, CONSUL_DIGEST_LEN) == 0
           && memcmp(digest, none, CONSUL_DIGEST_LEN) != 0;
}

consul_roots *consul_entry_decode_roots(consul_entry *entry, const consul_answer *answer,
                                        OSSL_LIB_CTX *libctx, consul_error *err)
{
    consul_roots *roots = consul_entry_roots(entry, CONSUL_EVER);
    unsigned char digest[CONSUL_DIGEST_LEN];

    digest_answer(answer, digest);
    if (roots != NULL && is_digest(roots->digest, digest))
        return roots;
    consul_roots_unref(roots);
    roots = consul_roots_decode(answer->body, answer->len, libctx, err);
    if (roots != NULL)
        memcpy(roots->digest, digest, sizeof(digest));
    else
        consul_error_prefix(err, "%s: ", answer->source);
    return roots;
}

consul_leaf *consul_entry_decode_leaf(consul_entry *entry, const consul_answer *answer,
                                      OSSL_LIB_CTX *libctx, consul_error *err)
{
    consul_leaf *leaf = consul_entry_leaf(entry, CONSUL_EVER);
    unsigned char digest[CONSUL_DIGEST_LEN];

    digest_answer(answer, digest);
    if (leaf != NULL && is_digest(leaf->digest, digest))
        return leaf;
    consul_leaf_unref(leaf);
    leaf = consul_leaf_decode(answer->body, answer->len, libctx, err);
    if (leaf != NULL)
        memcpy(leaf->digest, digest, sizeof(digest));
    else
        consul_error_prefix(err, "%s: ", answer->source);
    return leaf;
}

/* May this answer take the place of what is kept, or is that more than it can know? Then it does. */
static bool takes_place(consul_entry *entry, bool is_other, enum consul_origin origin,
                        int64_t moment)
{
    if (origin == CONSUL_WATCHED) {
        entry->fresh_until = moment;
        return true;
    }
    if (moment < entry->asked || (origin == CONSUL_ASKED && is_fresh(entry)))
        return false;
    if (is_other)
        entry->fresh_until = 0; /* the watch has missed it: it may be broken */
    entry->asked = moment;
    return true;
}

void consul_entry_keep_roots(consul_entry *entry, consul_roots *roots, enum consul_origin origin,
                             int64_t moment)
{
    consul_roots *old = NULL;

    consul_live_lock();
    if (takes_place(entry, entry->roots != roots, origin, moment)) {
        old = entry->roots;
        entry->roots = consul_roots_ref(roots);
    }
    consul_live_unlock();
    consul_roots_unref(old);
}

void consul_entry_keep_leaf(consul_entry *entry, consul_leaf *leaf, consul_roots *checked,
                            enum consul_origin origin, int64_t moment)
{
    time_t until = consul_leaf_next_expiry(leaf, checked);
    consul_roots *old_checked = NULL;
    consul_leaf *old = NULL;

    consul_live_lock();
    if (takes_place(entry, entry->leaf != leaf, origin, moment)) {
        old = entry->leaf;
        entry->leaf = consul_leaf_ref(leaf);
    }
    if (entry->leaf == leaf)
        old_checked = set_checked(entry, checked, until);
    consul_live_unlock();
    consul_leaf_unref(old);
    consul_roots_unref(old_checked);
}

void consul_entry_keep_epoch(consul_entry *entry, bool is_news, consul_deadline fresh_until)
{
    consul_live_lock();
    if (is_news || !is_fresh(entry)) {
        entry->epoch = ++last_epoch;
        entry->epoch_began = consul_deadline_after(0);
    }
    entry->fresh_until = fresh_until;
    consul_live_unlock();
}

uint64_t consul_entry_epoch(const consul_entry *entry)
{
    uint64_t epoch = 0;

    consul_live_lock();
    if (is_fresh(entry) && consul_deadline_after(-SETTLING_MS) >= entry->epoch_began)
        epoch = entry->epoch;
    consul_live_unlock();
    return epoch;
}

void consul_entry_doubt(consul_entry *entry)
{
    consul_live_lock();
    entry->fresh_until = 0;
    consul_live_unlock();
}

bool consul_entry_may_be_doubted(consul_entry *entry)
{
    int64_t now = consul_deadline_after(0), unused = now - (int64_t)DOUBTS_AT_ONCE * DOUBT_PAUSE_MS;
    bool may;

    consul_live_lock();
    if (entry->doubts_paid < unused)
        entry->doubts_paid = unused;
    may = entry->doubts_paid + DOUBT_PAUSE_MS <= now;
    if (may)
        entry->doubts_paid += DOUBT_PAUSE_MS;
    consul_live_unlock();
    return may;
}

uint64_t consul_entry_index(consul_entry *entry)
{
    uint64_t index;

    consul_live_lock();
    index = entry->index;
    consul_live_unlock();
    return index;
}

void consul_entry_set_index(consul_entry *entry, uint64_t index)
{
    consul_live_lock();
    entry->index = index;
    consul_live_unlock();
}

consul_request consul_entry_request(const consul_entry *entry)
{
    consul_request request = {.path = "/v1/agent/connect/ca/roots",
                              .scope = &entry->scope,
                              .deadline = CONSUL_NO_DEADLINE};

    if (entry->kind == CONSUL_KIND_LEAF) {
        request.path = "/v1/agent/connect/ca/leaf/";
        request.last_segment = entry->service;
    } else if (entry->kind == CONSUL_KIND_INTENTIONS && *entry->service != '\0') {
        request.path = "/v1/connect/intentions/match";
        request.destination = entry->service;
    } else if (entry->kind == CONSUL_KIND_INTENTIONS) {
        request.path = "/v1/connect/intentions";
    }
    consul_live_lock();
    request.insists = entry->roots == NULL && entry->leaf == NULL;
    consul_live_unlock();
    return request;
}
