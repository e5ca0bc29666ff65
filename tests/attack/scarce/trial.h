/* SPDX-License-Identifier: Apache-2.0 */
/* One shortage in one phase: a child of the process that has made the state before it. */
#ifndef ATTACK_SCARCE_TRIAL_H
#define ATTACK_SCARCE_TRIAL_H

#include "scenes.h"
#include "shim.h"

enum verdict {
    VERDICT_PASSED,
    VERDICT_CLOSED,      /* the module did not load, or refuses all TLS: nothing is served */
    VERDICT_EXCEPTION,   /* a crash with a name: see `decodes` in scenes.h */
    VERDICT_CRASHED,     /* the process ended by itself */
    VERDICT_HUNG,        /* it had no end */
    VERDICT_LEAKED,      /* memory that nothing refers to */
    VERDICT_OPEN,        /* a peer was served that may not be */
    VERDICT_UNRECOVERED, /* no friend was served after the shortage */
    VERDICTS
};

/* How a clock goes wrong in a phase. */
typedef struct clock_fault {
    long seconds; /* a step */
    bool stands;  /* the time of day stands still */
    bool stops;   /* the other clocks do */
} clock_fault;

/* A fork between two turns of a handshake, with all calls of the kind failing from then on. */
typedef struct fork_fault {
    int turn;          /* from 1 on; 0 for no fork */
    bool goes_on;      /* in the child, and the parent waits; otherwise the child exits */
    bool is_plentiful; /* no call fails */
} fork_fault;

typedef struct shortage {
    enum kind kind;
    long first, last;  /* numbers of the calls that fail; 0 for none */
    clock_fault clock; /* besides */
    bool no_fork;      /* the kernel makes no process and no thread any more */
    fork_fault fork;
} shortage;

/* The notes of a child, in shared memory. */
typedef struct notes {
    enum verdict verdict;
    long counts[KINDS_COUNT], failed;
    bool ended;
} notes;

/* Call it first of all, so that its handler runs last at the exit of a child. */
void trial_init(void);

/* Run a phase in a child of this process, which may run some at once. Return its pid. `sites` may be NULL. */
int trial_start(const scene *s, const shortage *what, notes *n, site *sites, long sites_size);

/* Return the verdict of a child that has ended with this status. */
enum verdict trial_verdict(const notes *n, int status);

/* Let the children write what they say, as for a single trial. */
void trial_speak(void);

#endif
