/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that a process shares with its children, so that they write a statement once. Each process may
 * end at any moment. So there is no lock, and each member is atomic. Any thread.
 */
#ifndef PROV_REPORT_FAMILY_H
#define PROV_REPORT_FAMILY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PROV_FAMILY_SETS 32 /* of statements; a key has its place in one of them */
#define PROV_FAMILY_WAYS 8  /* statements that a set remembers */

/* A new statement takes the place of the oldest. Two statements with one place would else be news in turns. */
typedef struct prov_family_set {
    atomic_uint oldest;                      /* index of the key that is forgotten next */
    _Atomic uint64_t keys[PROV_FAMILY_WAYS]; /* of statements, or 0 */
} prov_family_set;

typedef struct prov_family {
    _Atomic int64_t spent_until; /* of the allowance, in milliseconds */
    atomic_ulong left_out;       /* lines beyond the allowance */
    atomic_uint governed;        /* handshakes up to the line of the start */
    _Atomic int64_t lost; /* begin of the request that lost the agent, in milliseconds; or 0 */
    _Atomic int64_t back; /* the agent has been back since, in milliseconds; or 0 */
    prov_family_set sets[PROV_FAMILY_SETS]; /* the statements */
} prov_family;

/* Share the memory with the children that are forked from now on. Before any line is written. */
void prov_family_share(void);

/* Return the memory of the family, which is that of this process alone where nothing could be shared. */
prov_family *prov_family_memory(void);

/* Return true for the first of the family that has this to say. A key of 0 is always news. */
bool prov_family_is_news(uint64_t key);

#endif
