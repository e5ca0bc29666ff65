/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs load a certificate and its key by two loads, milliseconds apart, and perhaps a chain by a third. A leaf that is
 * renewed between them has another key, and libssl refuses such a pair. So loads in a row get one leaf.
 */
#include "pairs.h"

#include "base/clock.h"
#include "base/lock.h"

#include <string.h>

#include <openssl/crypto.h>

#define PAIRS_MAX 64       /* the one that is used least lately goes */
#define IN_A_ROW_MS 1000   /* from one load to the next */
#define PAIR_LIFE_MS 60000 /* after its last load; an answer of the agent may take long */

typedef struct pair {
    struct pair *next;
    const void *thread;
    consul_uri uri;
    consul_leaf *leaf;
    bool is_key;         /* the half that was loaded first */
    int64_t begun, last; /* its first load, and its last one, in milliseconds */
} pair;

struct consul_pairs {
    pair *latest; /* and the others behind it, under the lock */
};

consul_pairs *consul_pairs_new(void)
{
    return OPENSSL_zalloc(sizeof(consul_pairs));
}

/* Free a list. Keys are cleansed outside the lock. */
static void free_list(pair *list)
{
    while (list != NULL) {
        pair *next = list->next;

        consul_leaf_unref(list->leaf);
        OPENSSL_free(list);
        list = next;
    }
}

void consul_pairs_free(consul_pairs *pairs)
{
    if (pairs != NULL)
        free_list(pairs->latest);
    OPENSSL_free(pairs);
}

/* Return the same address in each call of a thread, and another one in each other thread. */
static const void *this_thread(void)
{
    static _Thread_local char mark;

    return &mark;
}

static bool is_same(const pair *one, const pair *other)
{
    const consul_uri *a = &one->uri, *b = &other->uri;

    return one->thread == other->thread && strcmp(a->service, b->service) == 0
           && strcmp(a->scope.ns, b->scope.ns) == 0
           && strcmp(a->scope.partition, b->scope.partition) == 0
           && strcmp(a->scope.dc, b->scope.dc) == 0;
}

/* Take the pairs that are over out of the list, and the last ones of a full list. Return them. */
static pair *take_old(consul_pairs *pairs, int64_t now)
{
    pair **place = &pairs->latest, *old;
    int count = 1;

    while (*place != NULL && count++ < PAIRS_MAX && now - (*place)->last < PAIR_LIFE_MS)
        place = &(*place)->next;
    old = *place;
    *place = NULL;
    return old;
}

/* Take the pair of this thread and URI out of the list. Return it, or NULL. */
static pair *take_same(consul_pairs *pairs, const pair *made)
{
    pair **place = &pairs->latest, *found;

    while (*place != NULL && !is_same(*place, made))
        place = &(*place)->next;
    found = *place;
    if (found != NULL)
        *place = found->next;
    return found;
}

/*
 * Return true where a load belongs to the loads of `found`. A program may load pairs without a pause. There a first half
 * begins a new pair after a second.
 */
static bool is_in_a_row(const pair *found, const pair *load, int64_t opened)
{
    return opened - found->last < IN_A_ROW_MS
           && (load->is_key != found->is_key || load->begun - found->begun < IN_A_ROW_MS);
}

void consul_pairs_complete(consul_pairs *pairs, const consul_uri *uri, bool is_key, int64_t opened,
                           consul_leaf **leaf)
{
    pair *load = pairs == NULL ? NULL : OPENSSL_zalloc(sizeof(*load));
    pair *found, *old;
    consul_leaf *live = *leaf;
    int64_t now = consul_now_ms();

    if (load == NULL)
        return;
    *load = (pair){NULL, this_thread(), *uri, consul_leaf_ref(live), is_key, now, now};
    consul_lock();
    old = take_old(pairs, now);
    found = take_same(pairs, load);
    if (found != NULL && is_in_a_row(found, load, opened)) {
        pair *spare = load;

        load = found;
        load->last = now;
        found = spare;
    }
    load->next = pairs->latest;
    pairs->latest = load;
    *leaf = consul_leaf_ref(load->leaf);
    consul_unlock();
    if (found != NULL)
        found->next = NULL;
    free_list(found);
    free_list(old);
    consul_leaf_unref(live);
}
