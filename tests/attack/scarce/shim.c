/* SPDX-License-Identifier: Apache-2.0 */
#include "shim.h"

#include "sites.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define DEEPER_MAX 32
#define OUTSIDE __attribute__((visibility("default")))

/* Allocate as the leak checker does, whose names stand behind those of this file. */
void *__interceptor_malloc(size_t size);
void *__interceptor_calloc(size_t number, size_t size);
void *__interceptor_realloc(void *old, size_t size);

static atomic_bool armed, paused, refuses;
static atomic_long counts[KINDS_COUNT], failed;
static enum kind failing;
static long first_failing, last_failing;
static _Thread_local bool
    runs; /* past the leak checker's own start of a thread, which needs memory */
static _Atomic(site *) noted; /* set and forgotten beside threads that allocate */
static long noted_size;

/* The addresses of ld.so. */
static uintptr_t linker, linker_end;

static int (*real_pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
static FILE *(*real_fopen)(const char *, const char *);

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

void shim_set_up(void)
{
    void *create = dlsym(RTLD_NEXT, "pthread_create"), *open_file = dlsym(RTLD_NEXT, "fopen");

    runs = true;
    memcpy(&real_pthread_create, &create, sizeof(create));
    memcpy(&real_fopen, &open_file, sizeof(open_file));
    dl_iterate_phdr(find_linker, NULL);
}

void shim_arm(enum kind kind, long first, long last)
{
    int i;

    failing = kind;
    first_failing = first;
    last_failing = last;
    for (i = 0; i < KINDS_COUNT; i++)
        atomic_store(&counts[i], 0);
    atomic_store(&failed, 0);
    atomic_store(&paused, false);
    atomic_store(&armed, true);
}

void shim_pause(void)
{
    atomic_store(&paused, true);
}

void shim_go_on(void)
{
    atomic_store(&paused, false);
}

void shim_disarm(void)
{
    atomic_store(&armed, false);
    atomic_store(&noted, NULL);
}

long shim_count(enum kind kind)
{
    return atomic_load(&counts[kind]);
}

long shim_failed(void)
{
    return atomic_load(&failed);
}

void shim_note_sites(site *sites, long size)
{
    sites_load();
    noted_size = size;
    atomic_store(&noted, sites);
}

void shim_refuse_connections(bool refuse)
{
    atomic_store(&refuses, refuse);
}

/*
 * Return true for a failure in many others on the stack, until the first of them is over. OpenSSL 3.6
 * raises an error where it has no memory for a thread's first error. It would do so until the stack is full.
 */
static bool is_without_an_end(void)
{
    static _Thread_local uintptr_t first_frame, last_frame;
    static _Thread_local int deeper;
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

    if (deeper > DEEPER_MAX && frame < first_frame)
        return true;
    deeper = frame < last_frame ? deeper + 1 : 0;
    if (deeper == 0)
        first_frame = frame;
    last_frame = frame;
    return false;
}

static bool fails(enum kind kind, const void *caller, int error)
{
    site *sites;
    long number;

    if (!runs || !atomic_load(&armed) || atomic_load(&paused)
        || ((uintptr_t)caller >= linker && (uintptr_t)caller < linker_end))
        return false;
    number = atomic_fetch_add(&counts[kind], 1) + 1;
    sites = atomic_load(&noted);
    if (kind == KIND_MEMORY && sites != NULL && number < noted_size) {
        atomic_store(&paused, true); /* the look at the stack may allocate */
        sites[number] = sites_look();
        atomic_store(&paused, false);
    }
    if (kind != failing || number < first_failing || number > last_failing || is_without_an_end())
        return false;
    atomic_fetch_add(&failed, 1);
    errno = error;
    return true;
}

#define FAILS(kind, error) fails(kind, __builtin_return_address(0), error)

/* ---- memory ---- */

OUTSIDE void *malloc(size_t size)
{
    return FAILS(KIND_MEMORY, ENOMEM) ? NULL : __interceptor_malloc(size);
}

OUTSIDE void *calloc(size_t number, size_t size)
{
    return FAILS(KIND_MEMORY, ENOMEM) ? NULL : __interceptor_calloc(number, size);
}

OUTSIDE void *realloc(void *old, size_t size)
{
    return FAILS(KIND_MEMORY, ENOMEM) ? NULL : __interceptor_realloc(old, size);
}

OUTSIDE void *mmap(void *where, size_t len, int allowed, int flags, int fd, off_t offset)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    return FAILS(KIND_MAPPING, ENOMEM)
               ? MAP_FAILED
               : (void *)syscall(SYS_mmap, where, len, allowed, flags, fd, offset);
}

/* ---- descriptors ---- */

OUTSIDE int socket(int domain, int type, int protocol)
{
    return FAILS(KIND_DESCRIPTOR, EMFILE) ? -1 : (int)syscall(SYS_socket, domain, type, protocol);
}

/* Connect, unless it is refused. Its usual name is taken by a header, which has a union in place of the address. */
OUTSIDE int connect_or_refuse(int fd, const void *address, socklen_t len) __asm__("connect");

int connect_or_refuse(int fd, const void *address, socklen_t len)
{
    if (!atomic_load(&refuses))
        return (int)syscall(SYS_connect, fd, address, len);
    errno = ECONNREFUSED;
    return -1;
}

OUTSIDE int socketpair(int domain, int type, int protocol, int pair[2])
{
    return FAILS(KIND_DESCRIPTOR, EMFILE)
               ? -1
               : (int)syscall(SYS_socketpair, domain, type, protocol, pair);
}

OUTSIDE int pipe2(int pair[2], int flags)
{
    return FAILS(KIND_DESCRIPTOR, EMFILE) ? -1 : (int)syscall(SYS_pipe2, pair, flags);
}

OUTSIDE int pipe(int pair[2])
{
    return FAILS(KIND_DESCRIPTOR, EMFILE) ? -1 : (int)syscall(SYS_pipe2, pair, 0);
}

OUTSIDE int eventfd(unsigned int start, int flags)
{
    return FAILS(KIND_DESCRIPTOR, EMFILE) ? -1 : (int)syscall(SYS_eventfd2, start, flags);
}

OUTSIDE int memfd_create(const char *name, unsigned int flags)
{
    return FAILS(KIND_DESCRIPTOR, EMFILE) ? -1 : (int)syscall(SYS_memfd_create, name, flags);
}

/* Open, or fail for want of descriptors, or of room on the disk. */
static int open_or_fail(int folder, const char *path, int flags, mode_t mode, const void *caller)
{
    if (fails(KIND_DESCRIPTOR, caller, EMFILE)
        || ((flags & O_CREAT) != 0 && fails(KIND_DISK, caller, ENOSPC)))
        return -1;
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

OUTSIDE int open(const char *path, int flags, ...)
{
    va_list list;
    mode_t mode;

    va_start(list, flags);
    mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
    va_end(list);
    return open_or_fail(AT_FDCWD, path, flags, mode, __builtin_return_address(0));
}

OUTSIDE int openat(int folder, const char *path, int flags, ...)
{
    va_list list;
    mode_t mode;

    va_start(list, flags);
    mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
    va_end(list);
    return open_or_fail(folder, path, flags, mode, __builtin_return_address(0));
}

OUTSIDE FILE *fopen(const char *path, const char *mode)
{
    return FAILS(KIND_DESCRIPTOR, EMFILE) ? NULL : real_fopen(path, mode);
}

OUTSIDE int fcntl(int fd, int command, ...)
{
    va_list list;
    long argument;

    va_start(list, command);
    argument = va_arg(list, long);
    va_end(list);
    if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && FAILS(KIND_DESCRIPTOR, EMFILE))
        return -1;
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

/* ---- threads and the disk ---- */

typedef struct start {
    void *(*run)(void *);
    void *arg;
} start;

static void *run_thread(void *arg)
{
    start it = *(start *)arg;

    free(arg);
    runs = true;
    return it.run(it.arg);
}

OUTSIDE int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                           void *arg)
{
    start *it;
    int error;

    if (FAILS(KIND_THREAD, EAGAIN))
        return EAGAIN;
    it = __interceptor_malloc(sizeof(*it));
    *it = (start){run, arg};
    error = real_pthread_create(thread, attr, run_thread, it);
    if (error != 0)
        free(it);
    return error;
}

OUTSIDE ssize_t write(int fd, const void *data, size_t len)
{
    return FAILS(KIND_DISK, ENOSPC) ? -1 : syscall(SYS_write, fd, data, len);
}

OUTSIDE int ftruncate(int fd, off_t len)
{
    return FAILS(KIND_DISK, ENOSPC) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}
