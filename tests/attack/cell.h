/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes in which rows run. Each row has a process of its own. It is a fork of a process that has the
 * provider with the settings of the row. A crash or a hang ends that process alone.
 */
#ifndef ATTACK_CELL_H
#define ATTACK_CELL_H

#include "talk.h"

#define CELL_SECONDS 60 /* for a row, which takes some milliseconds */

typedef struct cell_result {
    bool ran;   /* up to its end */
    int status; /* of its process, wait(2) */
    talk_outcome outcome;
} cell_result;

/*
 * Run a row, and list its calls on stderr where asked. A plain row runs without the provider, with the leaf as an
 * ordinary certificate. The caller has not used libcrypto.
 */
cell_result cell_run(const row *r, bool plain, bool listing);

/* End the processes that wait for more rows. */
void cell_stop(void);

#endif
