/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <sys/auxv.h>

static atomic_bool armed;
static atomic_long count;
static long first_failing, last_failing;

void memory_arm(long first, long last)
{
    first_failing = first;
    last_failing = last;
    atomic_store(&count, 0);
    atomic_store(&armed, true);
}

void memory_pause(void)
{
    atomic_store(&armed, false);
}

void memory_go_on(void)
{
    atomic_store(&armed, first_failing != 0);
}

long memory_disarm(void)
{
    atomic_store(&armed, false);
    first_failing = 0;
    return atomic_load(&count);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

void memory_set_up(void)
{
}

#else

/* Allocate as the C library does. It exports these names, too. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t number, size_t size);
void *__libc_realloc(void *old, size_t size);

#define OUTSIDE __attribute__((visibility("default")))

OUTSIDE void *malloc(size_t size);
OUTSIDE void *calloc(size_t number, size_t size);
OUTSIDE void *realloc(void *old, size_t size);

/* The addresses of ld.so. It aborts a process without memory for the thread-local data of a module. */
static uintptr_t linker, linker_end;

static int find_linker(struct dl_phdr_info *info, size_t size, void *arg)
{
    int i;

    if (info->dlpi_addr != getauxval(AT_BASE))
        return 0;
    linker = info->dlpi_addr;
    for (i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD)
            linker_end = linker + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
    }
    return 1;
}

static bool fails(const void *caller)
{
    long number;

    if (!atomic_load(&armed) || ((uintptr_t)caller >= linker && (uintptr_t)caller < linker_end))
        return false;
    number = atomic_fetch_add(&count, 1) + 1;
    if (number < first_failing || number > last_failing)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

static void *plain_malloc(size_t size, const char *file, int line)
{
    return __libc_malloc(size);
}

static void *plain_realloc(void *old, size_t size, const char *file, int line)
{
    return __libc_realloc(old, size);
}

static void plain_free(void *block, const char *file, int line)
{
    free(block);
}

void memory_set_up(void)
{
    dl_iterate_phdr(find_linker, NULL);
    if (CRYPTO_set_mem_functions(plain_malloc, plain_realloc, plain_free) != 1)
        abort();
}

#endif
