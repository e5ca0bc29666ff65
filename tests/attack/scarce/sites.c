/* SPDX-License-Identifier: Apache-2.0 */
#include "sites.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

#define FRAMES 64
#define OWN_FRAMES 3     /* of the shim */
#define HANDLER_FRAMES 3 /* of a signal */

enum library { LIBRARY_OTHER, LIBRARY_OURS, LIBRARY_JANSSON, LIBRARY_CURL, LIBRARY_CRYPTO };

static struct range {
    enum library library;
    uintptr_t from, to;
} ranges[16];
static size_t ranges_count;

static int find_one(struct dl_phdr_info *info, size_t size, void *arg)
{
    static const struct {
        const char *part;
        enum library library;
    } names[] = {{"/consul.so", LIBRARY_OURS},
                 {"/libjansson", LIBRARY_JANSSON},
                 {"/libcurl", LIBRARY_CURL},
                 {"/libcrypto", LIBRARY_CRYPTO}};
    size_t i;
    int j;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (j = 0; strstr(info->dlpi_name, names[i].part) != NULL && j < info->dlpi_phnum; j++) {
            const ElfW(Phdr) *part = &info->dlpi_phdr[j];

            if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0 && ranges_count < 16)
                ranges[ranges_count++] =
                    (struct range){names[i].library, info->dlpi_addr + part->p_vaddr,
                                   info->dlpi_addr + part->p_vaddr + part->p_memsz};
        }
    }
    return 0;
}

static int note_changes(struct dl_phdr_info *info, size_t size, void *arg)
{
    *(unsigned long long *)arg = info->dlpi_adds + info->dlpi_subs;
    return 1;
}

/* Find the libraries anew where some have come or gone since the last time. */
static void find_libraries(void)
{
    static unsigned long long found;
    unsigned long long now = 0;

    dl_iterate_phdr(note_changes, &now);
    if (now == found)
        return;
    found = now;
    ranges_count = 0;
    dl_iterate_phdr(find_one, NULL);
}

void sites_load(void)
{
    void *frames[FRAMES];

    backtrace(frames, FRAMES);
}

static enum library library_of(const void *address)
{
    size_t i;

    for (i = 0; i < ranges_count; i++) {
        if ((uintptr_t)address >= ranges[i].from && (uintptr_t)address < ranges[i].to)
            return ranges[i].library;
    }
    return LIBRARY_OTHER;
}

/* Return true for a function of libcrypto that allocates for its caller. */
static bool only_allocates(const void *address)
{
    Dl_info info;

    return dladdr(address, &info) != 0 && info.dli_sname != NULL
           && strncmp(info.dli_sname, "CRYPTO_", 7) == 0;
}

site sites_look(void)
{
    void *frames[FRAMES];
    int count = backtrace(frames, FRAMES), i;
    enum library nearest = LIBRARY_OTHER;
    bool for_us = false;
    site found = {.origin = ORIGIN_OTHER};

    find_libraries();
    for (i = OWN_FRAMES; i < count; i++) {
        enum library one = library_of(frames[i]);

        if (!for_us) /* as far as the function of ours that calls, and with it */
            found.stack = found.stack * 1099511628211UL + (uintptr_t)frames[i];
        if (nearest == LIBRARY_OTHER && !(one == LIBRARY_CRYPTO && only_allocates(frames[i])))
            nearest = one;
        for_us |= one == LIBRARY_OURS || one == LIBRARY_CURL;
    }
    if (nearest == LIBRARY_OURS)
        found.origin = ORIGIN_OURS;
    else if (nearest == LIBRARY_JANSSON)
        found.origin = ORIGIN_JANSSON;
    else if (nearest == LIBRARY_CURL)
        found.origin = ORIGIN_CURL;
    else if (for_us)
        found.origin = ORIGIN_FOR_US;
    return found;
}

bool sites_crash_is_openssls(void)
{
    void *frames[FRAMES];
    int count = backtrace(frames, FRAMES);

    find_libraries();
    /* The handler, its caller in the kernel's place, and the function with the crash. */
    return count > HANDLER_FRAMES && library_of(frames[HANDLER_FRAMES]) == LIBRARY_CRYPTO;
}
