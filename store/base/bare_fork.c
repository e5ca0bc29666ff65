/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bare_fork.h"

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WIPED, BEING_SETTLED, SETTLED };

static atomic_int *word; /* NULL where the kernel wipes nothing; written once */

void consul_bare_fork_expect(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return;
    if (madvise(page, size, MADV_WIPEONFORK) != 0) {
        munmap(page, size);
        return;
    }
    word = page;
    atomic_store(word, SETTLED);
}

bool consul_bare_fork_begins(void)
{
    int wiped = WIPED;

    if (word == NULL || atomic_load(word) == SETTLED)
        return false;
    if (atomic_compare_exchange_strong(word, &wiped, BEING_SETTLED))
        return true;
    while (atomic_load(word) != SETTLED)
        sched_yield();
    return false;
}

void consul_bare_fork_settle(void)
{
    if (word != NULL)
        atomic_store(word, SETTLED);
}
