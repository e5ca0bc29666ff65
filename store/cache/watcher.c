/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/watcher.h"

#include <sys/syscall.h>
#include <unistd.h>

unsigned consul_watcher_of(const atomic_uint *word)
{
    unsigned now = atomic_load(word);

    return (now & FUTEX_OWNER_DIED) != 0 ? 0 : now & FUTEX_TID_MASK;
}

/* Claim in the order of the kernel's document, as a thread may end between any two stores. */
bool consul_watcher_claim(consul_watcher *watcher, atomic_uint *word)
{
    unsigned before = atomic_load(word);
    bool claimed;

    watcher->word = NULL;
    if (consul_watcher_of(word) != 0)
        return false;
    watcher->head.list.next = &watcher->head.list;
    watcher->head.futex_offset = (long)((char *)word - (char *)&watcher->node);
    watcher->head.list_op_pending = &watcher->node;
    watcher->node.next = &watcher->head.list;
    if (syscall(SYS_set_robust_list, &watcher->head, sizeof(watcher->head)) != 0)
        return false;
    claimed = atomic_compare_exchange_strong(word, &before, (unsigned)syscall(SYS_gettid));
    if (claimed)
        watcher->head.list.next = &watcher->node;
    atomic_thread_fence(memory_order_seq_cst);
    watcher->head.list_op_pending = NULL;
    if (claimed)
        watcher->word = word;
    return claimed;
}

void consul_watcher_leave(consul_watcher *watcher)
{
    if (watcher->word == NULL)
        return;
    watcher->head.list_op_pending = &watcher->node;
    atomic_thread_fence(memory_order_seq_cst);
    watcher->head.list.next = &watcher->head.list;
    atomic_store(watcher->word, 0);
    atomic_thread_fence(memory_order_seq_cst);
    watcher->head.list_op_pending = NULL;
    watcher->word = NULL;
}
