#include "internal.h"

#include <string.h>

#include <openssl/crypto.h>

#define BUCKETS 256
#define ENTRIES_MAX 16384       /* of one store, which names come from local files and settings */
#define LONGEST_WAIT_MS 3600000 /* before the deadline is looked at again */

struct consul_live {
    size_t count;
    consul_entry *buckets[BUCKETS];
};

static pthread_mutex_t live_lock = PTHREAD_MUTEX_INITIALIZER;

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
            consul_intentions_unref(entry->unheeded);
            OPENSSL_free(entry);
        }
    }
    OPENSSL_free(live);
}

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
