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
#include "tls.h"

/* Settings that a process has for its life. */
enum settings {
    PLAIN,
    SERVICE_WEB,
    REQUIRE,
    EMPTY_SERVICE,
    DEMAND_ALONE,
    DEAD_UPSTREAM,
    TWO_SERVICES,
    UNLOADED,
    SETTINGS
};

#define FULL_DEMAND "service = web\noutbound = require\n"

static const char *const settings_texts[SETTINGS] = {
    [PLAIN] = "",
    [SERVICE_WEB] = "service = web\n",
    [REQUIRE] = FULL_DEMAND,
    [EMPTY_SERVICE] = "service =\n",
    [DEMAND_ALONE] = "inbound = require\n",
    [DEAD_UPSTREAM] = FULL_DEMAND "upstreams = others\n[others]\n127.0.0.1 = db\n",
    [TWO_SERVICES] = "service = web\ninbound = off\noutbound = off\n",
    [UNLOADED] = ""};

static enum settings settings_of(const row *r)
{
    switch ((enum governs)r->value[AXIS_GOVERNED]) {
    case BY_SERVICE:
        return SERVICE_WEB;
    case BY_REQUIREMENT:
        return REQUIRE;
    case BY_EMPTY_SERVICE:
        return EMPTY_SERVICE;
    case BY_DEMAND_ALONE:
        return DEMAND_ALONE;
    case BY_DEAD_UPSTREAM:
        return DEAD_UPSTREAM;
    case BY_TWO_SERVICES:
        return TWO_SERVICES;
    case BY_UNLOADED:
        return UNLOADED;
    case BY_LEAF:
    case BY_STAND_IN:
    case BY_URI:
    case BY_NOTHING:
        break;
    }
    return PLAIN;
}

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

/* Load an instance with a service into another library context, and unload it where asked. */
static void load_another(bool unload)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    char text[256];
    config_file file;

    snprintf(text, sizeof(text), "address = %s\n" FULL_DEMAND, world.agent.address);
    file = config_file_write(text, NULL);
    assert_non_null(libctx);
    assert_int_equal(OSSL_LIB_CTX_load_config(libctx, file.path), 1);
    config_file_remove(&file);
    if (unload)
        OSSL_LIB_CTX_free(libctx);
}

static void serve(int fd, enum settings settings)
{

    cell_result *result =
        mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    order o;
    pid_t child;

    assert_ptr_not_equal(result, MAP_FAILED);
    tls_set_up_as(settings_texts[settings]);
    if (settings == UNLOADED || settings == TWO_SERVICES)
        load_another(settings == UNLOADED);
    fake_agent_set_leaf(&world.agent, &world.web);
    world.agent.denied = peer_denied;
    peer_set_up();
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
