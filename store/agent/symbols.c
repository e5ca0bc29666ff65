/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/symbols.h"

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>

const void *consul_address_object(const void *address, const char **file)
{
    Dl_info info;

    if (address == NULL || dladdr(address, &info) == 0)
        return NULL;
    *file = info.dli_fname;
    return info.dli_fbase;
}

/*
 * Return true where a function is no more than a way to the function. A program that is not
 * position-independent has a way for each function whose address it takes. dlsym(3) finds it first.
 */
static bool is_way(const void *function)
{
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;

    return dladdr1(function, &info, (void **)(void *)&symbol, RTLD_DL_SYMENT) != 0 && symbol != NULL
           && symbol->st_shndx == SHN_UNDEF;
}

/* Return a function that a loaded library defines itself. Return NULL otherwise. */
static const void *defined_by(const struct link_map *library, const char *name, const char **file)
{
    void *handle = dlopen(library->l_name, RTLD_LAZY | RTLD_NOLOAD);
    const void *object = NULL;

    if (handle == NULL)
        return NULL;
    object = consul_address_object(dlsym(handle, name), file);
    dlclose(handle);
    return object == (const void *)library->l_addr ? object : NULL;
}

const void *consul_symbol_object(const char *name, const char **file)
{
    const void *function = dlsym(RTLD_DEFAULT, name), *object = NULL;
    const struct link_map *library;

    if (function == NULL || !is_way(function))
        return consul_address_object(function, file);
    for (library = _r_debug.r_map->l_next; library != NULL && object == NULL;
         library = library->l_next)
        object = defined_by(library, name, file);
    return object;
}
