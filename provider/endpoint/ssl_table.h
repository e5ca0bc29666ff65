/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SSLs of this process by address, each with its endpoint. Any thread; no lock, which a fork might leave held.
 *
 * The endpoints are not in the ex_data of their SSLs. Some programs write under numbers of ex_data that they have not
 * asked for. A high number, which they spare, costs a bystander a stack of that size.
 */
#ifndef PROV_ENDPOINT_SSL_TABLE_H
#define PROV_ENDPOINT_SSL_TABLE_H

#include "endpoint/endpoint.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SSL_TABLE_ROW_BITS \
    14 /* 128 kB of heads, of which a process of few SSLs touches few pages */

/*
 * One SSL of a row. It stays in its row for ever, and has other SSLs later. So a look goes on while another thread
 * adds or removes. A process has as many of them as it had SSLs at the same time, or some more.
 */
typedef struct ssl_entry {
    endpoint *endpoint;        /* first: ssl_table_remove goes by its address */
    _Atomic(const void *) ssl; /* NULL while it is free */
    struct ssl_entry *next;
    atomic_bool is_told;
} ssl_entry;

extern _Atomic(ssl_entry *) ssl_table_rows[1 << SSL_TABLE_ROW_BITS];

static inline _Atomic(ssl_entry *) *ssl_table_row(const void *ssl)
{
    return &ssl_table_rows[(uint64_t)(uintptr_t)ssl * 0x9e3779b97f4a7c15U
                           >> (64 - SSL_TABLE_ROW_BITS)];
}

/*
 * Add an SSL without an endpoint, which is not in the table. Return the place of its endpoint; NULL without memory. OpenSSL
 * tells of its end where it has told of its begin, `is_told`.
 */
endpoint **ssl_table_add(const void *ssl, bool is_told);

/*
 * Return the place of its endpoint, for the thread that drives or frees the SSL; NULL if none is at this address.
 * The SSL is not looked at. An SSL may be missing that was made before the provider was loaded, or under another default
 * library context. An SSL may still be there that was freed without memory, or under such a context.
 */
static inline endpoint **ssl_table_find(const void *ssl)
{
    /* Called some hundred times a handshake, and so inlined. */
    ssl_entry *one = atomic_load_explicit(ssl_table_row(ssl), memory_order_acquire);

    while (one != NULL && atomic_load_explicit(&one->ssl, memory_order_relaxed) != ssl)
        one = one->next;
    return one == NULL ? NULL : &one->endpoint;
}

/* Return true if OpenSSL has told of the begin of this SSL. `place` is of ssl_table_find. */
bool ssl_table_is_told(endpoint *const *place);

/* Remove an SSL, in the thread that frees it. Its endpoint is gone. `place` is of ssl_table_find. */
void ssl_table_remove(endpoint **place);

#endif
