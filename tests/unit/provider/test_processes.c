/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forks and ends of processes. Each is in a process of its own (process_host.c), which must have
 * served rightly. It must end promptly with status 0, and leave no child and, under a sanitizer, no
 * leak.
 */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config_file.h"
#include "live_agent.h"
#include "store.h"

#define PATIENCE 120000 /* milliseconds for all that a process does */
#define PROMPTLY 5000 /* and for its end: half of a blocking query, and of a busy machine's time */

static live_agent *agent;
static config_file config;

/* A process, its input and its output. */
typedef struct host {
    pid_t pid;
    int in, out;
    char said[65536];
    size_t len;
    int64_t ending; /* when it said so; 0 before */
} host;

static int set_up(void **state)
{
    char settings[256];

    signal(SIGPIPE, SIG_IGN);
    agent = live_agent_start();
    live_agent_issue(agent);
    /* Long enough for a busy machine: no process waits for it to pass. */
    snprintf(settings, sizeof(settings),
             "address = %s\nauthorize_timeout = 60s\nrequest_timeout = 60s",
             live_agent_address(agent));
    config = config_file_write(settings, NULL);
    setenv("CONSUL_HTTP_ADDR", live_agent_address(agent), 1);
    return 0;
}

static int tear_down(void **state)
{
    config_file_remove(&config);
    live_agent_stop(agent);
    return 0;
}

/* Start a host in a process group of its own, so that its remains can be ended, too. */
static host start(char *const argv[], bool by_hand)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int in[2], out[2];
    host h = {.len = 0};

    setenv("OPENSSL_CONF", by_hand ? "/dev/null" : config.path, 1);
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    assert_int_equal(posix_spawn(&h.pid, argv[0], &actions, &attributes, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(in[0]);
    close(out[1]);
    h.in = in[1];
    h.out = out[0];
    return h;
}

/* Let its agent leave authorize requests unanswered. Tell it so, and again when `count` wait. */
static void hang(const host *h, int count)
{
    int last = live_agent_requests(agent, LIVE_AUTHORIZE) + count - 1;

    live_agent_behave(agent, LIVE_AUTHORIZE, LIVE_HANG);
    assert_int_equal(write(h->in, "\n", 1), 1);
    live_agent_request(agent, LIVE_AUTHORIZE, last);
    assert_int_equal(write(h->in, "\n", 1), 1);
}

/* Return its output from this word on, or NULL without the word. */
static const char *has_said(const host *h, const char *word)
{
    return strstr(h->said, word);
}

/* Read its output until no process has it any more, and return true. Return false where patience ends before. */
static bool listen_to(host *h)
{
    int64_t end = consul_deadline_after(PATIENCE);
    struct pollfd ready = {.fd = h->out, .events = POLLIN};
    bool hung = false;
    int count;
    ssize_t got;

    while (poll(&ready, 1, (int)(end - consul_now_ms())) == 1) {
        got = read(h->out, h->said + h->len, sizeof(h->said) - 1 - h->len);
        if (got <= 0)
            return true;
        h->len += (size_t)got;
        h->said[h->len] = '\0';
        if (h->ending == 0 && has_said(h, "ENDING\n")) {
            h->ending = consul_now_ms();
            end = h->ending + PROMPTLY;
        }
        if (!hung && has_said(h, "HANG ")) {
            hung = sscanf(has_said(h, "HANG "), "HANG %d\n", &count) == 1;
            hang(h, count);
        }
        if (has_said(h, "ANSWER\n"))
            live_agent_behave(agent, LIVE_AUTHORIZE, LIVE_ANSWER);
    }
    return false;
}

/* Print the line of a file about a thread. */
static void show(const char *task, const char *thread, const char *file)
{
    char path[300], line[200] = "";
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s/%s", task, thread, file);
    f = fopen(path, "r");
    if (f != NULL && fgets(line, sizeof(line), f) != NULL)
        print_error("%s: %s: %s\n", thread, file, line);
    if (f != NULL)
        fclose(f);
}

/* Print where each thread of a host waits. */
static void show_threads(pid_t pid)
{
    const struct dirent *entry;
    char task[64];
    DIR *folder;

    snprintf(task, sizeof(task), "/proc/%d/task", (int)pid);
    folder = opendir(task);
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (*entry->d_name != '.') {
            show(task, entry->d_name, "wchan");
            show(task, entry->d_name, "syscall");
        }
    }
    if (folder != NULL)
        closedir(folder);
}

static void run(char *const argv[], bool by_hand)
{
    host h = start(argv, by_hand);
    int status;

    if (!listen_to(&h))
        show_threads(h.pid);
    kill(-h.pid, SIGKILL); /* the group is empty, or it is too late */
    assert_int_equal(waitpid(h.pid, &status, 0), h.pid);
    live_agent_behave(agent, LIVE_AUTHORIZE, LIVE_ANSWER);
    close(h.in);
    close(h.out);
    if (status != 0 || h.ending == 0)
        fail_msg("%s: status %x after it has said: %s", argv[1], (unsigned)status, h.said);
}

#define TEST_OF(name, model, by_hand)                                                      \
    static void test_##name(void **state)                                                  \
    {                                                                                      \
        static char program[] = PROCESS_HOST, as[] = model, *argv[] = {program, as, NULL}; \
                                                                                           \
        run(argv, by_hand);                                                                \
    }

TEST_OF(return, "return", false)
TEST_OF(exit, "exit", false)
TEST_OF(exit_at_once, "_exit", false)
TEST_OF(exit_in_a_thread, "exit in a thread", false)
TEST_OF(cleanup, "cleanup", false)
TEST_OF(no_handshake, "no handshake", false)
TEST_OF(no_request, "no request", false)
TEST_OF(exit_while_busy, "exit while busy", false)
TEST_OF(exit_at_once_while_busy, "_exit while busy", false)
TEST_OF(exit_while_waiting, "exit while waiting", false)
TEST_OF(fork_first, "fork first", false)
TEST_OF(fork_in_handshakes, "fork in handshakes", false)
TEST_OF(exec, "exec", false)
TEST_OF(unload, "unload", true)
TEST_OF(free_contexts, "free contexts", true)
TEST_OF(load_twice, "load twice", false)

#ifndef __SANITIZE_THREAD__
TEST_OF(exit_in_a_handler, "exit in a handler", false)
TEST_OF(fork_watching, "fork watching", false)
TEST_OF(bare_fork, "bare fork", false)
#endif

/* A library brings TLS into a program that has none; it is loaded and unloaded twice. */
static void test_dlopen(void **state)
{
    static char program[] = PROCESS_DLOPEN, library[] = PROCESS_LIBRARY, first[] = "go on",
                second[] = "serve", *argv[] = {program, library, first, second, NULL};

    run(argv, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_return),
        cmocka_unit_test(test_exit),
        cmocka_unit_test(test_exit_at_once),
        cmocka_unit_test(test_exit_in_a_thread),
        cmocka_unit_test(test_cleanup),
        cmocka_unit_test(test_no_handshake),
        cmocka_unit_test(test_no_request),
        cmocka_unit_test(test_exit_while_busy),
        cmocka_unit_test(test_exit_at_once_while_busy),
        cmocka_unit_test(test_exit_while_waiting),
        cmocka_unit_test(test_fork_first),
        cmocka_unit_test(test_fork_in_handshakes),
        cmocka_unit_test(test_exec),
        cmocka_unit_test(test_unload),
        cmocka_unit_test(test_free_contexts),
        cmocka_unit_test(test_load_twice),
        cmocka_unit_test(test_dlopen),
#ifndef __SANITIZE_THREAD__ /* it knows no threads in a child, and no exit in a handler */
        cmocka_unit_test(test_exit_in_a_handler),
        cmocka_unit_test(test_fork_watching),
        cmocka_unit_test(test_bare_fork),
#endif
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
