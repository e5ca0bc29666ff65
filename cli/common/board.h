/* SPDX-License-Identifier: Apache-2.0 */
/* The boards of this host's governed processes, as provider/report/board.h has them. One thread. */
#ifndef CLI_COMMON_BOARD_H
#define CLI_COMMON_BOARD_H

#include "report/board.h"

#include <stdbool.h>
#include <stddef.h>

#define CLI_BOARD_PIDS 512

/* A copy of one board, and the processes of the family that has it. */
typedef struct cli_board {
    prov_board board;
    unsigned long inode;
    long pids[CLI_BOARD_PIDS];
    long inner[CLI_BOARD_PIDS]; /* the same processes in their own namespaces of pids; 0 unknown */
    size_t count;               /* of processes; CLI_BOARD_PIDS at most are listed */
    bool is_foreign;            /* of another version of the module: nothing of it can be read */
    char program[64];
} cli_board;

/* All boards that this user may read. Free them with cli_boards_free. */
typedef struct cli_boards {
    cli_board *list;
    size_t count;
    size_t unreadable; /* processes whose board this user may not read */
} cli_boards;

/* Find the board of a process and its family, or the boards of all for 0. Free them in any case. */
int cli_boards_find(cli_boards *boards, long pid, consul_error *err);
void cli_boards_free(cli_boards *boards);

/* Copy a leaf of a board whole; false for a free place, or for one that is being written. */
bool cli_board_leaf(const cli_board *board, size_t place, prov_board_leaf *leaf);

/* Return what process number `i` of the family shows of itself, or NULL. */
const prov_board_process *cli_board_process(const cli_board *board, size_t i);

/* Return true for a busy process: on the clock of base/clock.h, which all processes share. */
bool cli_board_is_busy(const prov_board_process *process);

/* Return a lane that has an answer, or NULL. */
const prov_board_lane *cli_board_lane(const prov_board_process *process, size_t lane);

/* Return the sum of admitted clients. */
uint64_t cli_board_clients(const cli_board *board);

#endif
