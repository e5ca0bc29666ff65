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
    size_t count; /* of processes; CLI_BOARD_PIDS at most are listed */
    char program[64];
} cli_board;

/* All boards that this user may read. Free them with cli_boards_free. */
typedef struct cli_boards {
    cli_board *list;
    size_t count;
    size_t unreadable; /* processes whose board this user may not read */
} cli_boards;

/* Find the board of a process, or the boards of all for 0. Returns false without memory. */
bool cli_boards_find(cli_boards *boards, long pid);
void cli_boards_free(cli_boards *boards);

/* Copy a leaf of a board whole; false for a free place, or for one that is being written. */
bool cli_board_leaf(const cli_board *board, size_t place, prov_board_leaf *leaf);

#endif
