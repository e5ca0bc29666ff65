/* SPDX-License-Identifier: Apache-2.0 */
#include "common/board.h"

#include "common/arguments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#define COPIES_MAX 10
#define NAME "/memfd:" PROV_BOARD_NAME " (deleted)"

/* Return the device of memory without a path, from memory of this program. Return 0 where the kernel gives none. */
static dev_t memory_device(void)
{
    static dev_t device;
    struct stat about;
    int fd;

    if (device == 0 && (fd = memfd_create("consul-tls", MFD_CLOEXEC)) >= 0) {
        device = fstat(fd, &about) == 0 ? about.st_dev : 0;
        close(fd);
    }
    return device;
}

/*
 * Find the mapping of a board: its addresses and its inode. A file of another user may have the same name. The user
 * can keep each reader of that file waiting, in a file system of the user's own. The device tells the two apart.
 */
static bool find_mapping(long pid, unsigned long *start, unsigned long *end, unsigned long *inode)
{
    char path[64], line[8192];
    unsigned major_part, minor_part;
    bool found = false;
    FILE *file;
    int at;

    snprintf(path, sizeof(path), "/proc/%ld/maps", pid);
    if ((file = fopen(path, "re")) == NULL)
        return false;
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        at = 0;
        found = sscanf(line, "%lx-%lx %*s %*s %x:%x %lu %n", start, end, &major_part, &minor_part,
                       inode, &at)
                    == 5
                && at > 0 && strcmp(line + at, NAME) == 0
                && makedev(major_part, minor_part) == memory_device();
    }
    fclose(file);
    return found;
}

/*
 * Read the file that has been opened as a path alone, where it is memory. The process may have mapped another file
 * meanwhile. No question about the file goes to its file system, which could keep this program waiting.
 */
static bool read_file(int place, void *data, size_t size)
{
    struct statx about;
    char path[64];
    bool ok;
    int fd;

    if (statx(place, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &about) != 0
        || makedev(about.stx_dev_major, about.stx_dev_minor) != memory_device())
        return false;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    memset(data, 0, size); /* as the rest of the last page is */
    ok = fd >= 0 && read(fd, data, size) >= 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Read memory of a process. CAP_SYS_PTRACE is enough, where /proc/<pid>/mem is a file of the process's own user. */
static bool read_memory(long pid, unsigned long start, void *data, size_t size)
{
    const struct iovec here = {data, size};
    const struct iovec there = {(void *)start, size}; /* an address of that process */

    return process_vm_readv((pid_t)pid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

/*
 * Copy the begin of a board: for root from the file of the mapping, for another user from the memory. No byte behind the
 * mapping is read, as it may be of another file.
 */
static bool copy_once(long pid, unsigned long start, unsigned long end, void *data, size_t size)
{
    char path[128];
    bool ok;
    int place;

    if (size > end - start)
        return false;
    snprintf(path, sizeof(path), "/proc/%ld/map_files/%lx-%lx", pid, start, end);
    place = open(path, O_PATH | O_CLOEXEC);
    if (place < 0)
        return (errno == EPERM || errno == EACCES || access("/proc/self/map_files", F_OK) != 0)
               && read_memory(pid, start, data, size);
    ok = read_file(place, data, size);
    close(place);
    return ok;
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

/*
 * Return true where two copies have the same leaves and lanes: no process was writing one then. The copies have the
 * padding, too.
 */
static bool is_same(const prov_board *one, const prov_board *other)
{
    size_t i;

    /* NOLINTBEGIN(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c) */
    if (memcmp(one->leaves, other->leaves, sizeof(one->leaves)) != 0)
        return false;
    for (i = 0; i < PROV_BOARD_PROCESSES; i++) {
        if (memcmp(one->processes[i].lanes, other->processes[i].lanes,
                   sizeof(one->processes[i].lanes))
            != 0)
            return false;
    }
    /* NOLINTEND(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c) */
    return true;
}

static void clean_all(prov_board *board)
{
    size_t i, lane;

    clean(board->head.provider, PROV_BOARD_TEXT);
    clean(board->head.openssl, PROV_BOARD_TEXT);
    clean(board->head.service, PROV_BOARD_TEXT);
    clean(board->head.agent, PROV_BOARD_TEXT);
    clean(board->head.refusal, PROV_BOARD_TEXT);
    for (i = 0; i < PROV_BOARD_LEAVES; i++) {
        clean(board->leaves[i].id, PROV_BOARD_TEXT);
        clean(board->leaves[i].serial, sizeof(board->leaves[i].serial));
    }
    for (i = 0; i < PROV_BOARD_PROCESSES; i++) {
        for (lane = 0; lane < PROV_BOARD_LANES; lane++) {
            clean(board->processes[i].lanes[lane].of, sizeof(board->processes[i].lanes[lane].of));
            clean(board->processes[i].lanes[lane].service, PROV_BOARD_TEXT);
        }
    }
}

/* Copy a board until two copies are the same. */
static bool copy_board(long pid, unsigned long start, unsigned long end, prov_board *board)
{
    prov_board *other = malloc(sizeof(*other));
    bool ok = other != NULL && copy_once(pid, start, end, board, sizeof(*board));
    size_t i;

    for (i = 0; i < COPIES_MAX && ok; i++) {
        ok = copy_once(pid, start, end, other, sizeof(*other));
        if (ok && is_same(board, other))
            break;
        memcpy(board, other, sizeof(*board));
    }
    free(other);
    clean_all(board);
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

/* Return the number of a process in its own namespace of pids, or 0. */
static long read_inner(long pid)
{
    char path[64], line[256];
    const char *last;
    long inner = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/status", pid);
    if ((file = fopen(path, "re")) == NULL)
        return 0;
    while (inner == 0 && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "NSpid:", 6) == 0 && (last = strrchr(line, '\t')) != NULL)
            inner = cli_number(last + 1, INT32_MAX);
    }
    fclose(file);
    return inner;
}

static void add_pid(cli_board *board, long pid)
{
    if (board->count == CLI_BOARD_PIDS)
        return;
    board->inner[board->count] = read_inner(pid);
    board->pids[board->count++] = pid;
}

/* Read the new board of an inode. Return false for other memory, and for unreadable memory. */
static bool read_board(cli_boards *boards, cli_board *new, long pid, unsigned long start,
                       unsigned long end)
{
    unsigned long inode;
    uint64_t magic = 0;

    if (!copy_once(pid, start, end, &magic, sizeof(magic))) {
        /* A process that has ended, or shows another board by now, was not unreadable. */
        boards->unreadable += find_mapping(pid, &start, &end, &inode) && inode == new->inode;
        return false;
    }
    new->is_foreign = magic != PROV_BOARD_MAGIC;
    return magic >> 16 == PROV_BOARD_MAGIC >> 16
           && (new->is_foreign || copy_board(pid, start, end, &new->board));
}

/* Add the board of a process, or the process to the board of its family; of one family, unless it is 0. */
static bool add_process(cli_boards *boards, long pid, unsigned long family)
{
    unsigned long start = 0, end = 0, inode = 0;
    cli_board *list, *new;
    size_t i;

    if (!find_mapping(pid, &start, &end, &inode) || (family != 0 && inode != family))
        return true;
    for (i = 0; i < boards->count; i++) {
        if (boards->list[i].inode == inode) {
            add_pid(&boards->list[i], pid);
            return true;
        }
    }
    if ((list = realloc(boards->list, (boards->count + 1) * sizeof(*list))) == NULL)
        return false;
    boards->list = list;
    new = &list[boards->count];
    memset(new, 0, sizeof(*new));
    new->inode = inode;
    if (!read_board(boards, new, pid, start, end))
        return true;
    add_pid(new, pid);
    read_program(pid, new->program);
    boards->count++;
    return true;
}

static bool add_all(cli_boards *boards, unsigned long family)
{
    const struct dirent *entry;
    DIR *folder = opendir("/proc");
    bool ok = folder != NULL;

    while (ok && (entry = readdir(folder)) != NULL) {
        long one = cli_number(entry->d_name, INT32_MAX);

        ok = one == 0 || add_process(boards, one, family);
    }
    if (folder != NULL)
        closedir(folder);
    return ok;
}

int cli_boards_find(cli_boards *boards, long pid, consul_error *err)
{
    unsigned long start, end, family = 0;

    memset(boards, 0, sizeof(*boards));
    if ((pid == 0 || find_mapping(pid, &start, &end, &family)) && !add_all(boards, family))
        return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the list of processes");
    if (pid == 0 || boards->count > 0)
        return 1;
    return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                            "process %ld has not loaded the provider, or is another user's: see "
                            "consul-tls check --pid %ld",
                            pid, pid);
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

const prov_board_process *cli_board_process(const cli_board *board, size_t i)
{
    size_t place;

    for (place = 0; place < PROV_BOARD_PROCESSES && board->inner[i] != 0; place++) {
        if (board->board.processes[place].pid == board->inner[i])
            return &board->board.processes[place];
    }
    return NULL;
}

bool cli_board_is_busy(const prov_board_process *process)
{
    return consul_now_ms() < process->busy_until;
}

const prov_board_lane *cli_board_lane(const prov_board_process *process, size_t lane)
{
    const prov_board_lane *one = &process->lanes[lane];

    return one->sequence % 2 == 0 && *one->of != '\0' ? one : NULL;
}

uint64_t cli_board_clients(const cli_board *board)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < PROV_BOARD_BASES; i++)
        sum += board->board.admitted_clients[i];
    return sum;
}
