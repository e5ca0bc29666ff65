/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/alive.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define ALIVE_ROWS 4096
#define ALIVE_IN_A_ROW 8

/* Keep the addresses, each in a free place of its row. No lock: a fork might leave it held. */
static _Atomic(const void *) alive[ALIVE_ROWS][ALIVE_IN_A_ROW];

static _Atomic(const void *) *row_of(const void *ssl)
{
    return alive[(size_t)(((uintptr_t)ssl >> 4) * 0x9e3779b1U >> 8) % ALIVE_ROWS];
}

/* Put `now` in the place of `before`, in the row of this address. Do nothing if `before` is not there. */
static void exchange_alive(const void *ssl, const void *before, const void *now)
{
    _Atomic(const void *) *row = row_of(ssl);
    size_t i;

    for (i = 0; i < ALIVE_IN_A_ROW; i++) {
        const void *there = before;

        if (atomic_compare_exchange_strong(&row[i], &there, now))
            return;
    }
}

bool alive_has(const void *ssl)
{
    _Atomic(const void *) *row = row_of(ssl);
    size_t i;

    for (i = 0; i < ALIVE_IN_A_ROW; i++) {
        if (atomic_load(&row[i]) == ssl)
            return true;
    }
    return false;
}

void alive_add(const void *ssl)
{
    if (!alive_has(ssl)) /* OpenSSL may have freed one there without a call */
        exchange_alive(ssl, NULL, ssl);
}

void alive_remove(const void *ssl)
{
    exchange_alive(ssl, ssl, NULL);
}
