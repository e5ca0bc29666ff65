/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that watches for a family. It holds a word of the shared memory by Linux's robust futex list. The
 * kernel marks the word when the thread ends in any way, also by SIGKILL. So no sibling believes a watcher that is gone.
 * https://docs.kernel.org/locking/robust-futex-ABI.html
 *
 * A word names a thread by its number. The next watcher voids all that the last one has vouched for before it vouches itself.
 */
#ifndef CONSUL_CACHE_WATCHER_H
#define CONSUL_CACHE_WATCHER_H

#include <stdatomic.h>
#include <stdbool.h>

#include <linux/futex.h>

/* A claim of a thread, in memory of its own process. It must not move, and must last as long as the thread. */
typedef struct consul_watcher {
    atomic_uint *word; /* NULL without a claim */
    struct robust_list_head
        head; /* the thread's own from the claim to its end, in place of the C library's */
    struct robust_list node;
} consul_watcher;

/* Claim the word for the calling thread. Return false while another thread has it, and where the kernel has no such lists. */
bool consul_watcher_claim(consul_watcher *watcher, atomic_uint *word);

/* Give the word back, in the thread that has claimed it. Does nothing without a claim. */
void consul_watcher_leave(consul_watcher *watcher);

/* Return the number of the living thread that has the word, or 0. Any thread and process. */
unsigned consul_watcher_of(const atomic_uint *word);

#endif
