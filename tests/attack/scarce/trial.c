/* SPDX-License-Identifier: Apache-2.0 */
#include "trial.h"

#include "unit.h"

#include "clock.h"
#include "parties.h"
#include "sites.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define IN_OPENSSL 77 /* the status of a child that has crashed in libcrypto */
#define SECONDS 100   /* until a child is taken for hanging */

int __lsan_do_recoverable_leak_check(void);
const char *__lsan_default_options(void);
const char *__lsan_default_suppressions(void);

static bool speaks;
static notes *at_exit; /* of a child whose shortage begins at its exit */

__attribute__((visibility("default"))) const char *__lsan_default_options(void)
{
    return "leak_check_at_exit=0:print_suppressions=0:fast_unwind_on_malloc=0:malloc_context_size=8";
}

/*
 * Leave out the losses of libcurl itself, with OpenSSL 3.5: a BIO of its connection to an https agent. In a build without
 * optimization the loader seems to lose its list of libraries.
 */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void)
{
    return "leak:libcurl.so\nleak:_dl_map_object_deps\n";
}

void trial_speak(void)
{
    speaks = true;
}

/* Refuse new processes and threads by a filter in the kernel, which no function of the C library goes around. */
static void forbid_processes(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    assert_int_equal(fork(), -1);
}

static void take_notes(notes *n)
{
    int i;

    for (i = 0; i < KINDS_COUNT; i++)
        n->counts[i] = shim_count((enum kind)i);
    n->failed = shim_failed();
    n->ended = true;
}

/* Take the notes of a child at the very end of its exit. */
static void note_exit(void)
{
    shim_disarm();
    if (at_exit != NULL)
        take_notes(at_exit);
}

void trial_init(void)
{
    assert_int_equal(atexit(note_exit), 0);
}

/* End a process whose crash is within libcrypto in a way of its own. */
static void on_crash(int number, siginfo_t *info, void *context)
{
    if (sites_crash_is_openssls())
        _exit(IN_OPENSSL);
    signal(number, SIG_DFL);
}

static void be_quiet(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (!speaks)
        dup2(nowhere, STDERR_FILENO);
    close(nowhere);
}

static enum verdict judge(const scene *s, bool served, bool forkless)
{
    if (served)
        return VERDICT_OPEN;
    if (s->loads && !scene_is_loaded())
        return VERDICT_CLOSED;
    if (!scene_recovers(s))
        return s->loads ? VERDICT_CLOSED : VERDICT_UNRECOVERED;
    if (scene_is_open(s))
        return VERDICT_OPEN;
    /* The leak checker needs a process of its own. */
    return !forkless && __lsan_do_recoverable_leak_check() != 0 ? VERDICT_LEAKED : VERDICT_PASSED;
}

static const shortage *present;

/*
 * Fork between two turns of a handshake. The trial goes on in the child or in the parent, with the calls of its kind
 * failing. The other process exits as a child of an application does, and ends as the trial.
 */
static void fork_now(void)
{
    bool all = !present->fork.is_plentiful;
    pid_t pid = fork();
    int status;

    if (pid == 0)
        alarm(SECONDS);
    if (pid > 0 && (waitpid(pid, &status, 0) != pid || present->fork.goes_on || status != 0)) {
        if (WIFSIGNALED(status))
            kill(getpid(), WTERMSIG(status));
        _exit(WEXITSTATUS(status));
    }
    shim_arm(present->kind, all ? 1 : 0, all ? LONG_MAX : 0);
    if (pid == 0 && !present->fork.goes_on)
        exit(0);
    shim_pause();
}

static void run(const scene *s, const shortage *what, notes *n, site *sites, long sites_size)
{
    bool served;

    be_quiet();
    alarm(SECONDS);
    if (s->decodes) {
        sites_load();
        sigaction(SIGSEGV, &(struct sigaction){.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO},
                  NULL);
    }
    if (!s->watches)
        clock_go_on();
    if (s->begin != NULL)
        s->begin();
    if (what->no_fork)
        forbid_processes();
    if (sites != NULL)
        shim_note_sites(sites, sites_size);
    clock_step(what->clock.seconds);
    clock_stand(what->clock.stands);
    clock_stop(what->clock.stops);
    present = what;
    parties_interrupt(what->fork.turn, fork_now);
    shim_refuse_connections(s->is_lost);
    shim_arm(what->kind, what->first, what->last);
    served = s->act();
    if (!s->at_exit) {
        shim_disarm();
        clock_step(0);
        clock_stand(false);
        clock_stop(false);
        parties_interrupt(0, NULL);
        shim_refuse_connections(false);
        take_notes(n);
        n->verdict = judge(s, served, what->no_fork);
    } else {
        n->verdict = VERDICT_PASSED;
        at_exit = n;
    }
    exit(0);
}

int trial_start(const scene *s, const shortage *what, notes *n, site *sites, long sites_size)
{
    int pid;

    *n = (notes){.verdict = VERDICT_CRASHED};
    pid = fork();
    if (pid == 0)
        run(s, what, n, sites, sites_size);
    assert_true(pid > 0);
    return pid;
}

enum verdict trial_verdict(const notes *n, int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return VERDICT_HUNG;
    if (WIFEXITED(status) && WEXITSTATUS(status) == IN_OPENSSL)
        return VERDICT_EXCEPTION;
    return status != 0 || !n->ended ? VERDICT_CRASHED : n->verdict;
}
