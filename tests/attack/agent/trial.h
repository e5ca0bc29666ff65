/* SPDX-License-Identifier: Apache-2.0 */
/* The trial of one row: handshakes before, during and after the wrong answers. */
#ifndef ATTACK_AGENT_TRIAL_H
#define ATTACK_AGENT_TRIAL_H

#include "server.h"

#include <sys/types.h>

#define TRIAL_ERRORS 2048

enum verdict {
    TRIAL_PASSED,
    TRIAL_LET_IN,  /* a peer that is not to be served was served */
    TRIAL_SLOW,    /* a handshake took too long */
    TRIAL_LARGE,   /* the process grew too much */
    TRIAL_SICK,    /* right answers did not mend it */
    TRIAL_CRASHED, /* the process ended by itself */
    TRIAL_NO_START /* it did not work before the wrong answers */
};

/* A row, and in place of its faults a right answer that ends early. */
typedef struct order {
    row r;
    long cut; /* one more than the bytes of its body that are sent; 0 for all */
    bool
        logs_in; /* the process has the token of a login, and it is the answer to the login that is cut */
} order;

typedef struct trial {
    enum verdict verdict;
    char peer[32];  /* the peer of the handshake */
    long longest;   /* ms, of a handshake with wrong answers */
    long healed_in; /* ms until a friend was served again */
    long grown;     /* kB, at most */
    int wrong;      /* wrong answers that were sent */
    long whole;     /* the length of the body that was cut last */
    bool ended;     /* the trial ran to its end */
    char errors[TRIAL_ERRORS];
} trial;

/* Start processes that run trials, a few at a time. Call once, before any other thread. */
void trials_start(void);
void trials_stop(void);

/* Begin a trial. Return false while all processes that have the settings of the row are busy. */
bool trial_begin(const order *what);

/* Wait for the end of a trial. Return false where none is under way. */
bool trial_end(trial *result, order *what);

#endif
