/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/ssl_table.h"

#include <stdlib.h>

_Atomic(ssl_entry *) ssl_table_rows[1 << SSL_TABLE_ROW_BITS];

/* Take a free entry, and return it; NULL if the row has none. */
static ssl_entry *take(ssl_entry *one, const void *ssl)
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
    _Atomic(ssl_entry *) *row = ssl_table_row(ssl);
    ssl_entry *first = atomic_load_explicit(row, memory_order_acquire), *one = take(first, ssl);

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

bool ssl_table_is_told(endpoint *const *place)
{
    const ssl_entry *one = (const ssl_entry *)place;

    return atomic_load_explicit(&one->is_told, memory_order_relaxed);
}

void ssl_table_remove(endpoint **place)
{
    ssl_entry *one = (ssl_entry *)place;

    one->endpoint = NULL;
    atomic_store_explicit(&one->ssl, NULL, memory_order_release);
}
