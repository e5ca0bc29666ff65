/* SPDX-License-Identifier: Apache-2.0 */
#include "report/family.h"

#include <stddef.h>
#include <sys/mman.h>

static prov_family own;
static prov_family *family = &own; /* set before a thread logs */

void prov_family_share(void)
{
    void *page;

    if (family != &own)
        return;
    page = mmap(NULL, sizeof(*family), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED)
        family = page;
}

prov_family *prov_family_memory(void)
{
    return family;
}

/* Return true where a set remembers a key. */
static bool remembers(const prov_family_set *set, uint64_t key)
{
    int i;

    for (i = 0; i < PROV_FAMILY_WAYS; i++)
        if (atomic_load(&set->keys[i]) == key)
            return true;
    return false;
}

bool prov_family_is_news(uint64_t key)
{
    prov_family_set *set = &family->sets[key % PROV_FAMILY_SETS];
    unsigned oldest;
    uint64_t forgotten;

    if (key == 0)
        return true;
    do {
        oldest = atomic_load(&set->oldest) % PROV_FAMILY_WAYS;
        forgotten = atomic_load(&set->keys[oldest]);
        if (remembers(set, key))
            return false;
    } while (!atomic_compare_exchange_strong(&set->keys[oldest], &forgotten, key));
    atomic_store(&set->oldest, oldest + 1);
    return true;
}
