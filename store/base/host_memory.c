/* SPDX-License-Identifier: Apache-2.0 */
#include "base/host_memory.h"

#include <inttypes.h>
#include <stdio.h>

#include <openssl/crypto.h>

/* Return true where libcrypto has its memory by functions of the host's. */
static bool host_has_functions(void)
{
    CRYPTO_malloc_fn allocate;

    CRYPTO_get_mem_functions(&allocate, NULL, NULL);
    return allocate != CRYPTO_malloc;
}

/* Return the letter of the mapping of an address in proc_pid_maps(5), s or p. Return NUL where it is not known. */
static char kind_of_mapping(uintptr_t address)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    uintptr_t begin, end;
    char kind, found = '\0';

    if (maps == NULL)
        return '\0';
    while (found == '\0'
           && fscanf(maps, "%" SCNxPTR "-%" SCNxPTR " %*3c%c%*[^\n]", &begin, &end, &kind) == 3) {
        if (address >= begin && address < end)
            found = kind;
    }
    fclose(maps);
    return found;
}

bool consul_memory_is_shared(const void *allocation)
{
    return host_has_functions() && kind_of_mapping((uintptr_t)allocation) != 'p';
}
