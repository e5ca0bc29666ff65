/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cleansing.h"

#include "agent/symbols.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define STACK_CLEANSED 4096 /* bytes: a job of OpenSSL's has 32 kB of stack in all */

bool consul_cleansing_is_possible(void)
{
    static const char *const others[] = {"realloc", "free", "malloc_usable_size"};
    const char *file;
    const void *object = consul_symbol_object("malloc", &file);
    size_t i;

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (object == NULL || consul_symbol_object(others[i], &file) != object)
            return false;
    }
    return true;
}

void consul_cleansing_free(void *memory)
{
    if (memory != NULL)
        OPENSSL_cleanse(memory, malloc_usable_size(memory));
    free(memory);
}

void *consul_cleansing_realloc(void *memory, size_t size)
{
    size_t old = memory == NULL ? 0 : malloc_usable_size(memory);
    void *larger;

    if (memory != NULL && size <= old && size >= old / 2)
        return memory;
    if ((larger = malloc(size)) == NULL)
        return NULL;
    if (memory != NULL)
        memcpy(larger, memory, size < old ? size : old);
    consul_cleansing_free(memory);
    return larger;
}

void __attribute__((noinline)) consul_cleanse_traces(void)
{
    static void *(*const volatile move)(void *, const void *, size_t) = memmove;
    unsigned char below[STACK_CLEANSED];
    size_t len;

    OPENSSL_cleanse(below, sizeof(below));
    for (len = 16; len <= sizeof(below) / 2; len *= 2) /* each length has registers of its own */
        move(below, below + sizeof(below) / 2, len);
}
