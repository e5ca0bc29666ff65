/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that leaves a handshake while the handshake waits for the agent. It goes to another handshake, as with fibres of
 * a library that stands in for poll(2). Or it goes for good, by siglongjmp in the handler of an alarm. All its TLS is governed.
 */
#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sys/wait.h>

#include "tls.h"

/* ---- in the midst of a request ---- */

static pthread_t thread; /* the thread of the handshakes */
static void (*meanwhile)(
    void); /* the next thing to do in that thread, while it waits for the agent */

static void do_meanwhile(void)
{
    void (*now)(void) = meanwhile;

    if (now == NULL || !pthread_equal(pthread_self(), thread))
        return;
    meanwhile = NULL;
    now();
}

/* Stand in for the C library's, for libcurl. A header may define it inline, so this one has another name in C. */
__attribute__((visibility("default"))) int stand_in_for_poll(struct pollfd *fds, nfds_t count,
                                                             int timeout) __asm__("poll");

int stand_in_for_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    struct timespec time = {.tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1000000L};

    do_meanwhile();
    return ppoll(fds, count, timeout < 0 ? NULL : &time, NULL);
}

static tls_outcome serve(int version, const minted *client)
{
    return tls_serve(tls_ctx(version, &world.web), version, client);
}

/* ---- another handshake ---- */

static int version;
static tls_outcome inner;

static void serve_nobody(void)
{
    inner = serve(version, NULL);
}

/* The scripted agent has one connection at a time. So the other handshake needs no answer. */
static void test_another_handshake(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        tls_outcome outer;

        version = tls_versions[v];
        meanwhile = serve_nobody;
        outer = serve(version, &world.friend);
        assert_null(meanwhile);
        assert_refused("nobody, meanwhile", &inner);
        assert_talked("a friend", &outer);
    }
}

/* ---- away for good ---- */

static sigjmp_buf before;

static void go_away(int signal)
{
    siglongjmp(before, 1);
}

static void be_interrupted(void)
{
    raise(SIGALRM);
}

/* Leave a handshake. Return 0 where the next one refuses a client without a certificate. */
static int serve_after_an_alarm(void)
{
    tls_outcome outcome;

    signal(SIGALRM, go_away);
    if (sigsetjmp(before, 1) == 0) {
        meanwhile = be_interrupted;
        serve(version, &world.friend);
        return 2;
    }
    outcome = serve(version, NULL);
    return outcome.server_got || outcome.client_got;
}

/* The handshake that was left keeps its memory. So it is in a process of its own, which looks for no leaks. */
static void test_away_for_good(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        int status = -1;
        pid_t child;

        version = tls_versions[v];
        child = fork();
        if (child == 0)
            _exit(serve_after_an_alarm());
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

static int set_up(void **state)
{
    thread = pthread_self();
    return tls_set_up(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_another_handshake, tls_reset),
        cmocka_unit_test_setup(test_away_for_good, tls_reset),
    };

    return cmocka_run_group_tests(tests, set_up, tls_tear_down);
}
