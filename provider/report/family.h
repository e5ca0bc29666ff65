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

#define PROV_FAMILY_SEEN 256 /* statements that are remembered */

typedef struct prov_family {
    _Atomic int64_t spent_until;             /* of the allowance, in milliseconds */
    atomic_ulong left_out;                   /* lines beyond the allowance */
    atomic_uint governed;                    /* handshakes up to the line of the start */
    atomic_bool lost;                        /* the agent is, */
    _Atomic int64_t back;                    /* or has been back since, in milliseconds; or 0 */
    _Atomic uint64_t seen[PROV_FAMILY_SEEN]; /* keys of statements, each at its own place */
} prov_family;

/* Share the memory with the children that are forked from now on. Before any line is written. */
void prov_family_share(void);

/* Return the memory of the family, which is that of this process alone where nothing could be shared. */
prov_family *prov_family_memory(void);

/* Return true for the first of the family that has this to say. A key of 0 is always news. */
bool prov_family_is_news(uint64_t key);

#endif
