/* SPDX-License-Identifier: Apache-2.0 */
#include "trial.h"

#include "unit.h"

#include "answer.h"
#include "rights.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tls.h"

#define PROCESSES 12 /* a third of each kind */
#ifdef __SANITIZE_ADDRESS__
#define TRIAL_SECONDS 60
#define TRIES 3
#else
#define TRIAL_SECONDS 200 /* until a trial is ended from outside */
#define TRIES 1
#endif
#define TIMEOUT_MS 250 /* the provider's, for all questions of one handshake */
#define SLACK_MS 5000  /* of a busy machine */
#define PATIENCE_MS 30000
#define GROWTH_KB (64 << 10)
#define BUSY 30     /* handshakes in less than a second */
#define BUSY_MS 600 /* longer than a query takes, and the next handshake */

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- peers ---- */

enum peer { FRIEND, FOE, STRANGER, PEERS };
static const char *const peer_names[PEERS] = {"friend", "foe", "stranger"};

static minted peers[PEERS], own;
static OSSL_LIB_CTX *elsewhere; /* of the peers, which the provider does not reach */

/* Make a handshake with a peer. A client asks for the service "friend". */
static bool is_served(const row *r, enum peer which, trial *t)
{
    bool is_server = ROW_IS(r, ROLE, ROLE_SERVER);
    SSL_CTX *ours, *theirs;
    SSL *client, *server;
    tls_outcome outcome;
    long began, took;

    ours = tls_ctx(TLS1_3_VERSION, &own);
    theirs = tls_ctx_in(elsewhere, TLS1_3_VERSION, &peers[which]);
    tls_pair_with(is_server ? theirs : ours, is_server ? ours : theirs, elsewhere, is_server,
                  &client, &server);
    if (!is_server)
        assert_true(SSL_set_tlsext_host_name(client, "friend.service.consul"));
    began = now_ms();
    outcome = tls_talk(client, server);
    took = now_ms() - began;
    if (took > t->longest)
        t->longest = took;
    snprintf(t->errors, sizeof(t->errors), "%.2000s",
             is_server ? outcome.server_errors : outcome.client_errors);
    tls_close(client, server);
    SSL_CTX_free(ours);
    SSL_CTX_free(theirs);
    return outcome.server_got || outcome.client_got;
}

/* ---- the process of one row ---- */

static void note_fault(trial *t, enum verdict verdict, const char *peer)
{
    if (t->verdict == TRIAL_PASSED) {
        t->verdict = verdict;
        snprintf(t->peer, sizeof(t->peer), "%s", peer);
    }
}

/* See that no peer is served but a friend that the agent says yes to. */
static void show_strangers(const row *r, bool wrong, trial *t)
{
    bool counts[PEERS] = {false, true, true};
    int i;

    /* A process that takes the agent for lost may admit a friend by the last verdict. */
    counts[FRIEND] = ROW_IS(r, WHEN, WHEN_DENIED) && ROW_IS(r, ROLE, ROLE_SERVER)
                     && ROW_IS(r, LOSS, LOSS_REFUSE) && !(wrong && answer_must_fail(r));
    for (i = PEERS - 1; i >= 0; i--) {
        bool served = is_served(r, (enum peer)i, t);

        if (served && counts[i] && !(wrong && i != STRANGER && answer_is_yes(r)))
            note_fault(t, TRIAL_LET_IN, peer_names[i]);
        if (t->verdict == TRIAL_LET_IN)
            return;
    }
}

/* Return the ms until the friend is served, or refused. Return -1 after too long a wait. */
static long wait_for_friend(const row *r, bool served, trial *t)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    long began = now_ms();

    while (is_served(r, FRIEND, t) != served) {
        if (now_ms() - began > PATIENCE_MS)
            return -1;
        nanosleep(&pause, NULL);
    }
    return now_ms() - began;
}

static long peak_kb(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* Let a friend come as often as to a busy process, or until a wrong answer has come. */
static void keep_busy(control *c, const row *r, trial *t)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    long began = now_ms();
    int i;

    for (i = 0; atomic_load(&c->wrong) == 0 && (i < BUSY || now_ms() - began < BUSY_MS); i++) {
        is_served(r, FRIEND, t);
        nanosleep(&pause, NULL);
    }
}

static void run(control *c, const order *what, trial *t)
{
    const row *r = &what->r;
    long before = peak_kb();
    int rounds, i;

    if (!ROW_IS(r, WHEN, WHEN_FRESH) && wait_for_friend(r, true, t) < 0) {
        note_fault(t, TRIAL_NO_START, "friend");
        return;
    }
    if (ROW_IS(r, WHEN, WHEN_BUSY))
        keep_busy(c, r, t);
    t->longest = 0;
    atomic_store(&c->denied, ROW_IS(r, WHEN, WHEN_DENIED));
    /* A process makes few logins after one that has failed, so one of them fails. */
    atomic_store(&c->answers,
                 ROW_IS(r, WHEN, WHEN_ONCE) || what->logs_in ? ANSWERS_WRONG_ONCE : ANSWERS_WRONG);
    if (ROW_IS(r, WHEN, WHEN_BUSY))
        keep_busy(c, r, t);
    rounds = ROW_IS(r, WHEN, WHEN_FRESH) ? 1 : 2;
    for (i = 0; i < rounds && t->verdict == TRIAL_PASSED; i++)
        show_strangers(r, true, t);
    if (t->longest > TIMEOUT_MS + SLACK_MS)
        note_fault(t, TRIAL_SLOW, "any");
    atomic_store(&c->answers, ANSWERS_RIGHT);
    atomic_store(&c->denied, false);
    t->wrong = atomic_load(&c->wrong);
    t->whole = atomic_load(&c->whole);
    if (t->verdict != TRIAL_PASSED)
        return;
    t->healed_in = wait_for_friend(r, true, t);
    if (t->healed_in < 0)
        note_fault(t, TRIAL_SICK, "friend");
    /* A process that takes the agent for lost goes by last verdicts, until it hears of it. */
    atomic_store(&c->denied, ROW_IS(r, WHEN, WHEN_DENIED));
    if (ROW_IS(r, WHEN, WHEN_DENIED) && ROW_IS(r, ROLE, ROLE_SERVER)
        && wait_for_friend(r, false, t) < 0)
        note_fault(t, TRIAL_LET_IN, "a denied friend");
    show_strangers(r, false, t);
    t->grown = peak_kb() - before;
#ifndef __SANITIZE_ADDRESS__
    if (t->grown > GROWTH_KB)
        note_fault(t, TRIAL_LARGE, "any");
#endif
}

/* ---- the processes ---- */

typedef struct shared {
    control c;
    trial t;
} shared;

static struct process {
    pid_t pid;
    int socket; /* takes rows, and gives trials */
    bool busy;
    order what;
} processes[PROCESSES];

enum process_kind { REFUSES, KNOWS_LAST, LOGS_IN, PROCESS_KINDS };

/* Make a port for the agent, the configuration, and all parties. The server starts last. */
static void set_up(control *c, enum process_kind kind)
{
    static config_file config;
    char settings[512], login[128] = "";
    int jwt = memfd_create("jwt", 0);
    right_answers right;
    minted ca, foreign, web;
    int port = server_listen();

    assert_true(jwt >= 0 && write(jwt, "a.b.c", 5) == 5);
    if (kind == LOGS_IN)
        snprintf(login, sizeof(login), "login_method = any\nlogin_bearer_file = /proc/self/fd/%d\n",
                 jwt);
    snprintf(settings, sizeof(settings),
             "address = 127.0.0.1:%d\nconnect_timeout = %dms\nrequest_timeout = %dms\n"
             "authorize_timeout = %dms\non_agent_loss = %s\nwatch_wait = 2s\n%s",
             port, TIMEOUT_MS, TIMEOUT_MS, TIMEOUT_MS, kind == KNOWS_LAST ? "last-known" : "refuse",
             login);
    config = config_file_write(settings, NULL);
    setenv("OPENSSL_CONF", config.path, 1);
    ca = mint_ca(TD); /* libcrypto reads its configuration here */
    config_file_remove(&config);
    foreign = mint_ca(TD);
    web = mint_leaf(&ca, TD, "web");
    own = mint_stand_in("consul:leaf/web");
    peers[FRIEND] = mint_leaf(&ca, TD, "friend");
    peers[FOE] = mint_leaf(&ca, TD, "foe");
    peers[STRANGER] = mint_leaf(&foreign, TD, "friend");
    elsewhere = OSSL_LIB_CTX_new();
    assert_non_null(elsewhere);
    right = (right_answers){.roots = rights_of_roots(&ca, TD),
                            .leaf = rights_of_leaf(&web, SERVICE("web")),
                            .login = "{\"SecretID\": \"11111111-2222-3333-4444-555555555555\", "
                                     "\"CreateTime\": \"2025-01-01T00:00:00Z\", "
                                     "\"ExpirationTime\": \"2025-01-02T00:00:00Z\"}"};
    server_start(c, &right);
}

/* Run an order in a child, and return how that ended. */
static int run_in_child(shared *s, const order *what, enum process_kind kind)
{
    pid_t child;
    int status = -1;

    s->t = (trial){0};
    s->c.r = what->r;
    s->c.cut = what->cut;
    s->c.cuts_login = what->logs_in;
    atomic_store(&s->c.answers, ANSWERS_RIGHT);
    atomic_store(&s->c.denied, false);
    atomic_store(&s->c.wrong, 0);
    atomic_store(&s->c.redirected, 0);
    atomic_store(&s->c.whole, 0);
    child = fork();
    if (child == 0) {
        alarm(TRIAL_SECONDS);
        if (kind == LOGS_IN)
            set_up(&s->c, kind);
        run(&s->c, what, &s->t);
        s->t.ended = true;
        exit(0);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

/*
 * Run the rows that come, each in a process of its own. A token is shared with all processes of a family. So a
 * process that is to log in does its set-up by itself.
 */
static void serve(int fd, enum process_kind kind)
{
    shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status, tries;
    order what;

    assert_ptr_not_equal(s, MAP_FAILED);
    memset(s, 0, sizeof(*s));
    if (kind != LOGS_IN)
        set_up(&s->c, kind);
    while (read(fd, &what, sizeof(what)) == (ssize_t)sizeof(what)) {
        /* A thread may hold the lock of GCC 12's address sanitizer at a fork. The child waits for it for ever. */
        tries = 0;
        do
            status = run_in_child(s, &what, kind);
        while (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM && ++tries < TRIES);
        if (status != 0 || !s->t.ended) {
            s->t.verdict = TRIAL_CRASHED;
            snprintf(s->t.peer, sizeof(s->t.peer), "status %#x", (unsigned int)status);
        } else if (atomic_load(&s->c.redirected) > 0) {
            note_fault(&s->t, TRIAL_LET_IN, "a redirect");
        }
        if (write(fd, &s->t, sizeof(s->t)) != (ssize_t)sizeof(s->t))
            break;
    }
    exit(0);
}

void trials_start(void)
{
    int i, other, pair[2];

    for (i = 0; i < PROCESSES; i++) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0
            || (processes[i].pid = fork()) < 0)
            abort();
        if (processes[i].pid == 0) {
            for (other = 0; other < i; other++)
                close(processes[other].socket);
            close(pair[0]);
            serve(pair[1], (enum process_kind)(i % PROCESS_KINDS));
        }
        close(pair[1]);
        processes[i].socket = pair[0];
    }
}

void trials_stop(void)
{
    int i;

    for (i = 0; i < PROCESSES; i++) {
        close(processes[i].socket);
        waitpid(processes[i].pid, NULL, 0);
    }
}

bool trial_begin(const order *what)
{
    int i = what->logs_in                             ? LOGS_IN
            : ROW_IS(&what->r, LOSS, LOSS_LAST_KNOWN) ? KNOWS_LAST
                                                      : REFUSES;

    for (; i < PROCESSES; i += PROCESS_KINDS) {
        if (processes[i].busy)
            continue;
        processes[i].busy = true;
        processes[i].what = *what;
        if (write(processes[i].socket, what, sizeof(*what)) != (ssize_t)sizeof(*what))
            abort();
        return true;
    }
    return false;
}

bool trial_end(trial *result, order *what)
{
    struct pollfd fds[PROCESSES];
    int i, busy = 0;

    for (i = 0; i < PROCESSES; i++) {
        fds[i] =
            (struct pollfd){.fd = processes[i].busy ? processes[i].socket : -1, .events = POLLIN};
        busy += processes[i].busy;
    }
    if (busy == 0)
        return false;
    if (poll(fds, PROCESSES, -1) < 0)
        abort();
    for (i = 0; i < PROCESSES && fds[i].revents == 0; i++)
        ;
    if (i == PROCESSES
        || read(processes[i].socket, result, sizeof(*result)) != (ssize_t)sizeof(*result))
        abort();
    processes[i].busy = false;
    *what = processes[i].what;
    return true;
}
