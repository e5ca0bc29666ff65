/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/table.h"

#include "base/lock.h"

#include <string.h>

#include <openssl/crypto.h>

#define BUCKETS 256
#define ENTRIES_MAX 16384 /* entries of a store; their names come from local files and settings */

struct consul_table {
    consul_family *family;
    consul_entry *last[CONSUL_KINDS]; /* the entries that were used last, by kind */
    size_t count;
    consul_entry *buckets[BUCKETS];
};

consul_table *consul_table_new(consul_family *family, consul_error *err)
{
    consul_table *table = OPENSSL_zalloc(sizeof(*table));

    if (table == NULL)
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the store");
    else
        table->family = family;
    return table;
}

void consul_table_free(consul_table *table)
{
    size_t i;

    for (i = 0; table != NULL && i < BUCKETS; i++) {
        while (table->buckets[i] != NULL) {
            consul_entry *entry = table->buckets[i];

            table->buckets[i] = entry->next;
            consul_roots_unref(entry->roots);
            consul_roots_unref(entry->checked);
            consul_leaf_unref(entry->leaf);
            consul_intentions_unref(entry->unheeded);
            OPENSSL_free(entry);
        }
    }
    OPENSSL_free(table);
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

static consul_entry *find_entry(consul_table *table, size_t bucket, enum consul_kind kind,
                                const char *service, const consul_scope *scope)
{
    consul_entry *entry = table->buckets[bucket];

    while (entry != NULL && !is_of(entry, kind, service, scope))
        entry = entry->next;
    return entry;
}

/* Return true for the intentions of all services, which are used beside each of the others. */
static bool is_of_everybody(const consul_entry *entry)
{
    return entry->kind == CONSUL_KIND_INTENTIONS && *entry->service == '\0';
}

consul_entry *consul_table_entry(consul_table *table, enum consul_kind kind, const char *service,
                                 const consul_scope *scope, consul_error *err)
{
    size_t bucket = bucket_of(service);
    consul_entry *entry, *made = NULL;

    consul_lock();
    entry = find_entry(table, bucket, kind, service, scope);
    if (entry == NULL && table->count < ENTRIES_MAX
        && (made = OPENSSL_zalloc(sizeof(*made))) != NULL) {
        made->kind = kind;
        OPENSSL_strlcpy(made->service, service, sizeof(made->service));
        made->scope = *scope;
        made->family = table->family;
        made->place = consul_family_find(table->family, (int)kind, service, scope);
        if (is_of_everybody(made))
            made->mark = CONSUL_FAMILY_MARK_OF_ALL;
        made->next = table->buckets[bucket];
        table->buckets[bucket] = made;
        table->count++;
        entry = made;
    }
    if (entry != NULL) {
        entry->uses++;
        table->last[kind] = is_of_everybody(entry) ? table->last[kind] : entry;
    }
    consul_unlock();
    if (entry == NULL)
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY,
                         "no entry for \"%s\": no memory, or more "
                         "than %d entries in this process",
                         kind == CONSUL_KIND_ROOTS ? "roots" : service, ENTRIES_MAX);
    return entry;
}

consul_entry *consul_table_most_used(consul_table *table, enum consul_kind kind)
{
    consul_entry *entry, *most = NULL;
    size_t i;

    consul_lock();
    for (i = 0; i < BUCKETS; i++) {
        for (entry = table->buckets[i]; entry != NULL; entry = entry->next) {
            if (entry->kind == kind && !is_of_everybody(entry)
                && (most == NULL || entry->uses > most->uses))
                most = entry;
        }
    }
    for (i = 0; i < BUCKETS; i++) {
        for (entry = table->buckets[i]; entry != NULL; entry = entry->next) {
            if (entry->kind == kind)
                entry->uses = 0;
        }
    }
    consul_unlock();
    return most;
}

static bool is_default(const char *name)
{
    return *name == '\0' || strcmp(name, "default") == 0;
}

consul_entry *consul_table_all_intentions(consul_table *table, const consul_scope *scope)
{
    if (!is_default(scope->ns) || !is_default(scope->partition))
        return NULL;
    return consul_table_entry(table, CONSUL_KIND_INTENTIONS, "", scope, NULL);
}

void consul_table_stop_vouching(consul_table *table)
{
    consul_entry *entry;
    size_t i;

    for (i = 0; i < BUCKETS; i++) {
        for (entry = table->buckets[i]; entry != NULL; entry = entry->next)
            entry->fresh_until = 0;
    }
}

/* Return true where a watch vouches for this entry, or no entry was used yet. */
static bool is_fresh(const consul_entry *entry)
{
    return entry == NULL || consul_entry_is_fresh(entry);
}

bool consul_table_is_served(consul_table *table)
{
    static const consul_scope own;
    const consul_entry *all = find_entry(table, bucket_of(""), CONSUL_KIND_INTENTIONS, "", &own);

    return is_fresh(table->last[CONSUL_KIND_ROOTS])
           && (is_fresh(table->last[CONSUL_KIND_LEAF])
               || is_fresh(table->last[CONSUL_KIND_INTENTIONS])
               || (all != NULL && consul_entry_is_fresh(all)));
}
