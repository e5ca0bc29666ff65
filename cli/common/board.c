/* SPDX-License-Identifier: Apache-2.0 */
#include "common/board.h"

#include "common/arguments.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPIES_MAX 10
#define NAME "/memfd:" PROV_BOARD_NAME " (deleted)"

/* Find the mapping of a board: its addresses and its inode. */
static bool find_mapping(long pid, unsigned long *start, unsigned long *end, unsigned long *inode)
{
    char path[64], line[8192];
    bool found = false;
    FILE *file;
    int at;

    snprintf(path, sizeof(path), "/proc/%ld/maps", pid);
    if ((file = fopen(path, "re")) == NULL)
        return false;
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        at = 0;
        found = sscanf(line, "%lx-%lx %*s %*s %*s %lu %n", start, end, inode, &at) == 3 && at > 0
                && strcmp(line + at, NAME) == 0;
    }
    fclose(file);
    return found;
}

static bool read_at(const char *path, off_t offset, void *data, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && pread(fd, data, size, offset) == (ssize_t)size;

    if (fd >= 0)
        close(fd);
    return ok;
}

/* Copy a board once: root by the file of the mapping, and the user of the process by its memory. */
static bool copy_once(long pid, unsigned long start, unsigned long end, prov_board *board)
{
    char path[128];

    snprintf(path, sizeof(path), "/proc/%ld/map_files/%lx-%lx", pid, start, end);
    if (read_at(path, 0, board, sizeof(*board)))
        return true;
    snprintf(path, sizeof(path), "/proc/%ld/mem", pid);
    return read_at(path, (off_t)start, board, sizeof(*board));
}

/* Make a text printable: a hostile process may have written it. */
static void clean(char *text, size_t size)
{
    text[size - 1] = '\0';
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
            *text = '?';
    }
}

/* Copy a board until two copies have the same leaves: no process was writing one then. */
static bool copy_board(long pid, unsigned long start, unsigned long end, prov_board *board)
{
    prov_board *other = malloc(sizeof(*other));
    bool ok = other != NULL && copy_once(pid, start, end, board);
    size_t i;

    for (i = 0; i < COPIES_MAX && ok; i++) {
        ok = copy_once(pid, start, end, other);
        if (ok && memcmp(board->leaves, other->leaves, sizeof(board->leaves)) == 0)
            break;
        memcpy(board, other, sizeof(*board));
    }
    free(other);
    clean(board->provider, PROV_BOARD_TEXT);
    clean(board->openssl, PROV_BOARD_TEXT);
    clean(board->service, PROV_BOARD_TEXT);
    clean(board->agent, PROV_BOARD_TEXT);
    clean(board->refusal, PROV_BOARD_TEXT);
    for (i = 0; i < PROV_BOARD_LEAVES; i++) {
        clean(board->leaves[i].id, PROV_BOARD_TEXT);
        clean(board->leaves[i].serial, sizeof(board->leaves[i].serial));
    }
    return ok;
}

static void read_program(long pid, char program[64])
{
    char path[64];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
    *program = '\0';
    if ((file = fopen(path, "re")) == NULL)
        return;
    if (fgets(program, 64, file) != NULL)
        program[strcspn(program, "\n")] = '\0';
    clean(program, 64);
    fclose(file);
}

/* Add the board of a process, or the process to the board of its family. */
static bool add_process(cli_boards *boards, long pid)
{
    unsigned long start = 0, end = 0, inode = 0;
    cli_board *list, *new;
    size_t i;

    if (!find_mapping(pid, &start, &end, &inode))
        return true;
    for (i = 0; i < boards->count; i++) {
        cli_board *known = &boards->list[i];

        if (known->inode != inode)
            continue;
        if (known->count < CLI_BOARD_PIDS)
            known->pids[known->count++] = pid;
        return true;
    }
    if ((list = realloc(boards->list, (boards->count + 1) * sizeof(*list))) == NULL)
        return false;
    boards->list = list;
    new = &list[boards->count];
    memset(new, 0, sizeof(*new));
    if (!copy_board(pid, start, end, &new->board)) {
        boards->unreadable += find_mapping(pid, &start, &end, &inode); /* it has not ended */
        return true;
    }
    if (new->board.magic != PROV_BOARD_MAGIC)
        return true; /* of another version, or not yet whole */
    new->inode = inode;
    new->pids[new->count++] = pid;
    read_program(pid, new->program);
    boards->count++;
    return true;
}

bool cli_boards_find(cli_boards *boards, long pid)
{
    const struct dirent *entry;
    bool ok = true;
    DIR *folder;

    memset(boards, 0, sizeof(*boards));
    if (pid != 0)
        return add_process(boards, pid);
    if ((folder = opendir("/proc")) == NULL)
        return false;
    while (ok && (entry = readdir(folder)) != NULL) {
        long one = cli_number(entry->d_name, INT32_MAX);

        ok = one == 0 || add_process(boards, one);
    }
    closedir(folder);
    return ok;
}

void cli_boards_free(cli_boards *boards)
{
    free(boards->list);
    memset(boards, 0, sizeof(*boards));
}

bool cli_board_leaf(const cli_board *board, size_t place, prov_board_leaf *leaf)
{
    *leaf = board->board.leaves[place];
    return leaf->content != 0 && leaf->sequence % 2 == 0;
}
