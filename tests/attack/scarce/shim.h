/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of the C library that fail in this process, in all its threads. Each kind counts its calls by itself.
 * Calls of ld.so never fail: it ends a process that has no memory for thread-local data.
 */
#ifndef ATTACK_SCARCE_SHIM_H
#define ATTACK_SCARCE_SHIM_H

#include <stdbool.h>
#include <stddef.h>

#define KINDS(X)                                                              \
    X(KIND_MEMORY, "allocation")     /* of each library in the process */     \
    X(KIND_DESCRIPTOR, "descriptor") /* sockets, files, memory with a name */ \
    X(KIND_THREAD, "thread")                                                  \
    X(KIND_MAPPING, "mapping")                                                \
    X(KIND_DISK, "write") /* a full disk: also the sizes of shared memory */

#define CONSTANT(name, text) name,
enum kind { KINDS(CONSTANT) KINDS_COUNT };
#undef CONSTANT

/* The origin of an allocation: its nearest caller beyond the functions that only allocate. */
#define ORIGINS(X)                                           \
    X(ORIGIN_OURS, "ours")                                   \
    X(ORIGIN_JANSSON, "jansson's")                           \
    X(ORIGIN_CURL, "curl's")                                 \
    X(ORIGIN_FOR_US, "OpenSSL's and libc's, called from us") \
    X(ORIGIN_OTHER, "libssl's own") /* without a frame of ours */

#define CONSTANT(name, text) name,
enum origin { ORIGINS(CONSTANT) ORIGINS_COUNT };
#undef CONSTANT

typedef struct site {
    enum origin origin;
    unsigned long stack; /* a hash of its callers, as far as the nearest of ours */
} site;

/* Find the addresses of ld.so, and the functions that are put in place. Call it first. */
void shim_set_up(void);

/* Let the calls of these numbers fail, from 1 on; 0 for none. Count all kinds from now on. */
void shim_arm(enum kind kind, long first, long last);

/* Let none fail and be counted for a while, and go on after it. */
void shim_pause(void);
void shim_go_on(void);

/* Let all succeed again. */
void shim_disarm(void);

/* Return the number of calls of a kind since shim_arm, and of those that have failed. */
long shim_count(enum kind kind);
long shim_failed(void);

/* Let no connection be made, whatever else is short. */
void shim_refuse_connections(bool refuse);

/* Write the site of each allocation from now on to a table of `size`. One thread allocates then. */
void shim_note_sites(site *sites, long size);

#endif
