/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/ssl_table.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define ROW_BITS 14 /* 128 kB of heads, of which a process of few SSLs touches few pages */

/*
 * One SSL of a row. It stays in its row for ever, and has other SSLs later. So a look goes on while another thread
 * adds or removes. A process has as many of them as it had SSLs at the same time, or some more.
 */
typedef struct entry {
    endpoint *endpoint;        /* first: ssl_table_remove goes by its address */
    _Atomic(const void *) ssl; /* NULL while it is free */
    struct entry *next;
    atomic_bool is_told;
} entry;

static _Atomic(entry *) rows[1 << ROW_BITS];

static _Atomic(entry *) *row_of(const void *ssl)
{
    return &rows[(uint64_t)(uintptr_t)ssl * 0x9e3779b97f4a7c15U >> (64 - ROW_BITS)];
}

/* Take a free entry, and return it; NULL if the row has none. */
static entry *take(entry *one, const void *ssl)
{
    for (; one != NULL; one = one->next) {
        const void *none = NULL;

        if (atomic_load_explicit(&one->ssl, memory_order_relaxed) == NULL
            && atomic_compare_exchange_strong(&one->ssl, &none, ssl))
            return one;
    }
    return NULL;
}

/* Add it to its row. An entry is not of OPENSSL_malloc: it stays, and a program may count what OpenSSL leaves. */
endpoint **ssl_table_add(const void *ssl, bool is_told)
{
    _Atomic(entry *) *row = row_of(ssl);
    entry *first = atomic_load_explicit(row, memory_order_acquire), *one = take(first, ssl);

    if (one != NULL) {
        atomic_store_explicit(&one->is_told, is_told, memory_order_relaxed);
        return &one->endpoint;
    }
    one = calloc(1, sizeof(*one));
    if (one == NULL)
        return NULL;
    atomic_init(&one->ssl, ssl);
    atomic_init(&one->is_told, is_told);
    do
        one->next = first;
    while (!atomic_compare_exchange_weak_explicit(row, &first, one, memory_order_acq_rel,
                                                  memory_order_acquire));
    return &one->endpoint;
}

/* Called some hundred times a handshake. */
endpoint **ssl_table_find(const void *ssl)
{
    entry *one = atomic_load_explicit(row_of(ssl), memory_order_acquire);

    while (one != NULL && atomic_load_explicit(&one->ssl, memory_order_relaxed) != ssl)
        one = one->next;
    return one == NULL ? NULL : &one->endpoint;
}

bool ssl_table_is_told(endpoint *const *place)
{
    const entry *one = (const entry *)place;

    return atomic_load_explicit(&one->is_told, memory_order_relaxed);
}

void ssl_table_remove(endpoint **place)
{
    entry *one = (entry *)place;

    one->endpoint = NULL;
    atomic_store_explicit(&one->ssl, NULL, memory_order_release);
}
