/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/alive.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define ALIVE_ROWS 4096
#define ALIVE_IN_A_ROW 8

/* Keep the addresses, each in a free place of its row. No lock: a fork might leave it held. */
static _Atomic(const void *) alive[ALIVE_ROWS][ALIVE_IN_A_ROW];

/* Put `now` in the place of `before`, in the row of this address; false if `before` is not there. */
static bool exchange_alive(const void *ssl, const void *before, const void *now)
{
    size_t i, row = (size_t)(((uintptr_t)ssl >> 4) * 0x9e3779b1U >> 8) % ALIVE_ROWS;

    for (i = 0; i < ALIVE_IN_A_ROW; i++) {
        const void *there = before;

        if (atomic_compare_exchange_strong(&alive[row][i], &there, now))
            return true;
    }
    return false;
}

bool alive_has(const void *ssl)
{
    return exchange_alive(ssl, ssl, ssl);
}

void alive_add(const void *ssl)
{
    exchange_alive(ssl, NULL, ssl);
}

void alive_remove(const void *ssl)
{
    exchange_alive(ssl, ssl, NULL);
}
