/* SPDX-License-Identifier: Apache-2.0 */
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENVIRONMENT_MAX ((size_t)4 << 20)
#define SEARCHED_MAX ((size_t)256 << 20) /* bytes of a file */

static FILE *open_proc(cli_process *process, const char *name)
{
    char path[64];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/%s", process->pid, name);
    file = fopen(path, "re");
    if (file == NULL)
        snprintf(process->why, sizeof(process->why), "%s: %s", path, strerror(errno));
    return file;
}

static void read_environment(cli_process *process)
{
    FILE *file = open_proc(process, "environ");

    if (file == NULL)
        return;
    process->environment = calloc(1, ENVIRONMENT_MAX + 2);
    if (process->environment != NULL)
        process->environment_len = fread(process->environment, 1, ENVIRONMENT_MAX, file);
    fclose(file);
}

static void add_path(cli_process *process, const char *path)
{
    size_t i;

    for (i = 0; i < process->count; i++) {
        if (strcmp(process->paths[i], path) == 0)
            return;
    }
    if (process->count == CLI_MAPPED_MAX)
        process->is_cut = true;
    else if ((process->paths[process->count] = strdup(path)) != NULL)
        process->count++;
}

/* Read "start-end perms offset dev inode path", and keep the paths of code. */
static void read_maps(cli_process *process, FILE *file)
{
    char line[8192], permissions[5];
    int at;

    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        at = 0;
        if (sscanf(line, "%*s %4s %*s %*s %*s %n", permissions, &at) == 1 && at > 0
            && permissions[2] == 'x' && line[at] == '/')
            add_path(process, line + at);
    }
}

/* Return true where all users of a process are this program's own. */
static bool has_our_user(cli_process *process)
{
    unsigned real, effective, saved, of_files, own = geteuid();
    FILE *file = open_proc(process, "status");
    bool found = false;
    char line[256];

    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL)
        found = sscanf(line, "Uid: %u %u %u %u", &real, &effective, &saved, &of_files) == 4;
    if (file != NULL)
        fclose(file);
    return found && real == own && effective == own && saved == own && of_files == own;
}

/* Return true where a path means the same file for a process as for this program. */
static bool has_our_files(const cli_process *process)
{
    char path[64], own[64] = "", other[64] = "";

    snprintf(path, sizeof(path), "/proc/%ld/ns/mnt", process->pid);
    return readlink("/proc/self/ns/mnt", own, sizeof(own) - 1) > 0
           && readlink(path, other, sizeof(other) - 1) > 0 && strcmp(own, other) == 0;
}

bool cli_process_open(cli_process *process, long pid)
{
    FILE *maps;

    memset(process, 0, sizeof(*process));
    process->pid = pid;
    if ((maps = open_proc(process, "maps")) == NULL)
        return false;
    read_maps(process, maps);
    fclose(maps);
    if (process->count == 0)
        snprintf(process->why, sizeof(process->why),
                 "/proc/%ld/maps is empty: the process has ended, or is the kernel's", pid);
    process->is_ours = has_our_user(process) && has_our_files(process);
    read_environment(process);
    return process->count > 0;
}

void cli_process_close(cli_process *process)
{
    size_t i;

    for (i = 0; i < process->count; i++)
        free(process->paths[i]);
    if (process->environment != NULL)
        explicit_bzero(process->environment, process->environment_len); /* it may hold a token */
    free(process->environment);
    memset(process, 0, sizeof(*process));
}

const char *cli_process_variable(const cli_process *process, const char *name)
{
    const char *p = process->environment, *end = p + process->environment_len;
    size_t len = strlen(name);

    for (; p != NULL && p < end; p += strlen(p) + 1) {
        if (strncmp(p, name, len) == 0 && p[len] == '=')
            return p + len + 1;
    }
    return NULL;
}

/*
 * Search a file by reading it. A map of it would end this program where the file becomes shorter meanwhile,
 * and its owner may be hostile. A part begins with the end of the last one.
 */
static bool search(int fd, const char *bytes)
{
    size_t len = strlen(bytes), kept = 0, read_so_far = 0;
    char part[65536];
    ssize_t got;

    while (read_so_far < SEARCHED_MAX && (got = read(fd, part + kept, sizeof(part) - kept)) > 0) {
        size_t whole = kept + (size_t)got;

        if (memmem(part, whole, bytes, len) != NULL)
            return true;
        read_so_far += (size_t)got;
        kept = whole < len - 1 ? whole : len - 1;
        memmove(part, part + whole - kept, kept);
    }
    return false;
}

bool cli_process_file_has(const cli_process *process, const char *path, const char *bytes)
{
    char there[8192];
    struct stat st;
    bool found;
    int fd;

    snprintf(there, sizeof(there), "/proc/%ld/root%s", process->pid, path);
    if ((fd = open(there, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
        return false;
    found = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && search(fd, bytes);
    close(fd);
    return found;
}
