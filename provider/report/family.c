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

bool prov_family_is_news(uint64_t key)
{
    return key == 0 || atomic_exchange(&family->seen[key % PROV_FAMILY_SEEN], key) != key;
}
