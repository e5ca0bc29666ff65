/* SPDX-License-Identifier: Apache-2.0 */
/* A client of consul-tls check whose process gets signals, as one that is stopped and goes on. */
#include "unit.h"

#include "base/clock.h"
#include "check/client.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 200
#define PAUSE_MS 5

static pthread_t visitor;
static atomic_bool is_over;

static void on_signal(int number)
{
}

static void *disturb(void *arg)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};

    while (!atomic_load(&is_over)) {
        nanosleep(&pause, NULL);
        pthread_kill(visitor, SIGUSR1);
    }
    return NULL;
}

/* A socket with a timeout is not read on after a signal, not even with SA_RESTART: signal(7). */
static void test_a_signal_does_not_end_its_patience(void **state)
{
    struct sigaction action = {.sa_handler = on_signal};
    cli_visit visit;
    pthread_t thread;
    int64_t began;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    visitor = pthread_self();
    began = consul_now_ms();
    assert_int_equal(pthread_create(&thread, NULL, disturb, NULL), 0);
    cli_visit_make(&visit, pair[0], NULL, NULL, PATIENCE_MS);
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    assert_true(consul_now_ms() - began >= PATIENCE_MS);
    assert_string_equal(visit.why, "the server does not answer in time");
    assert_false(visit.admitted);
    cli_visit_clear(&visit);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_signal_does_not_end_its_patience),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
