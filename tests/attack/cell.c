/* SPDX-License-Identifier: Apache-2.0 */
#include "cell.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "life.h"
#include "settings.h"

typedef struct order {
    row r;
    bool plain;
    bool listing;
} order;

static bool is_parent; /* of the processes of rows */
static struct {
    pid_t pid;
    int socket; /* takes orders, and gives results */
} parents[SETTINGS];

static void transfer(ssize_t (*by)(int, void *, size_t), int fd, void *data, size_t len)
{
    char *at = data;

    while (len > 0) {
        ssize_t done = by(fd, at, len);

        if (done <= 0) { /* the other process is gone */
            if (is_parent)
                exit(0);
            fprintf(stderr, "attack: a process with rows to run has ended\n");
            abort();
        }
        at += done;
        len -= (size_t)done;
    }
}

static ssize_t write_from(int fd, void *data, size_t len)
{
    return write(fd, data, len);
}

/* ---- the process of one row ---- */

static void run_row(const order *o, cell_result *result)
{
    alarm(CELL_SECONDS);
    app_is_listing = o->listing;
    app_is_plain = o->plain;
    app_enter();
    app_make(&o->r);
    result->outcome = life_run(&o->r);
    result->outcome.calls = app.all_calls;
    app_free();
    result->ran = true;
}

/* ---- the process with settings ---- */

static void serve(int fd, enum settings settings)
{

    cell_result *result =
        mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    order o;
    pid_t child;

    assert_ptr_not_equal(result, MAP_FAILED);
    settings_set_up(settings);
    for (;;) {
        transfer(read, fd, &o, sizeof(o));
        *result = (cell_result){0};
        child = fork();
        if (child == 0) {
            close(fd);
            run_row(&o, result);
            exit(0);
        }
        assert_true(child > 0 && waitpid(child, &result->status, 0) == child);
        transfer(write_from, fd, result, sizeof(*result));
    }
}

static void start(enum settings settings)
{
    int pair[2], other;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 || (pid = fork()) < 0)
        abort();
    if (pid == 0) {
        close(pair[0]);
        for (other = 0; other < SETTINGS;
             other++) { /* or it would not see the end of its own orders */
            if (parents[other].pid != 0)
                close(parents[other].socket);
        }
        is_parent = true;
        serve(pair[1], settings);
    }
    close(pair[1]);
    parents[settings].pid = pid;
    parents[settings].socket = pair[0];
}

cell_result cell_run(const row *r, bool plain, bool listing)
{
    enum settings settings = settings_of(r);
    order o = {.r = *r, .plain = plain, .listing = listing};
    static cell_result result;

    if (parents[settings].pid == 0)
        start(settings);
    transfer(write_from, parents[settings].socket, &o, sizeof(o));
    transfer(read, parents[settings].socket, &result, sizeof(result));
    return result;
}

void cell_stop(void)
{
    int i;

    for (i = 0; i < SETTINGS; i++) {
        if (parents[i].pid != 0) {
            close(parents[i].socket);
            waitpid(parents[i].pid, NULL, 0);
        }
    }
}
