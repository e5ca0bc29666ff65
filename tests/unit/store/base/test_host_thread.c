/* SPDX-License-Identifier: Apache-2.0 */
/* The host's error queue and signals, while libcurl's TLS runs in the host's thread. */
#include "unit.h"

#include <signal.h>
#include <stdbool.h>

#include <openssl/async.h>
#include <openssl/err.h>

#include "base/host_thread.h"

static void raise_error(int reason, const char *text)
{
    ERR_raise_data(ERR_LIB_USER, reason, "%s", text);
}

/* Check the last error, which keeps its text, too. */
static void assert_last(int reason, const char *text)
{
    const char *data = NULL;
    int flags = 0;
    unsigned long last = ERR_peek_last_error_data(&data, &flags);

    assert_int_equal(ERR_GET_REASON(last), reason);
    assert_string_equal(data, text);
}

/* Do to the thread what libcurl does. */
static void be_libcurl(void)
{
    int i;

    for (i = 0; i < 40; i++) {
        raise_error(900, "an error of libcurl's, of some length");
        if (i == 30)
            ERR_clear_error();
    }
    ERR_set_mark();
    ERR_pop_to_mark();
    raise(SIGPIPE);
}

static void test_errors_and_marks_come_back(void **state)
{
    consul_host_thread *host;

    ERR_clear_error();
    raise_error(101, "of the application");
    ERR_set_mark();
    raise_error(102, "of libssl");
    ERR_set_mark();
    raise_error(103, "of a hook");
    host = consul_host_thread_leave();
    assert_non_null(host);
    assert_int_equal(ERR_peek_error(), 0);
    be_libcurl();
    consul_host_thread_return(host);
    assert_last(103, "of a hook");
    assert_int_equal(ERR_pop_to_mark(), 1);
#if OPENSSL_VERSION_MAJOR < 4
    assert_last(102, "of libssl");
    assert_int_equal(ERR_pop_to_mark(), 1);
    assert_last(101, "of the application");
    assert_int_equal(ERR_pop_to_mark(), 0);
#endif
    ERR_clear_error();
}

static void test_an_empty_queue_stays_empty(void **state)
{
    consul_host_thread *host;

    ERR_clear_error();
    host = consul_host_thread_leave();
    assert_non_null(host);
    be_libcurl();
    consul_host_thread_return(host);
    assert_int_equal(ERR_peek_error(), 0);
}

/* The disposition of SIGPIPE is the deadly one all the time. */
static void test_a_signal_of_the_host_stays(void **state)
{
    consul_host_thread *host;
    sigset_t pipe, before, pending;
    int got;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    raise(SIGPIPE);
    host = consul_host_thread_leave();
    assert_non_null(host);
    consul_host_thread_return(host);
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGPIPE), 1);
    assert_int_equal(sigwait(&pipe, &got), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- nothing else runs in the thread meanwhile ---- */

static bool was_handled;

static void note_signal(int signal)
{
    was_handled = true;
}

static void test_no_handler_runs_meanwhile(void **state)
{
    void (*before)(int) = signal(SIGALRM, note_signal);
    consul_host_thread *host = consul_host_thread_leave();

    assert_non_null(host);
    raise(SIGALRM);
    assert_false(was_handled);
    consul_host_thread_return(host);
    assert_true(was_handled);
    signal(SIGALRM, before);
}

static int pause_in_a_job(void *arg)
{
    consul_host_thread *host = consul_host_thread_leave();

    ASYNC_pause_job();
    consul_host_thread_return(host);
    ASYNC_pause_job();
    return host != NULL;
}

static void test_no_job_pauses_meanwhile(void **state)
{
    ASYNC_WAIT_CTX *wait = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;
    int result = 0;

    assert_non_null(wait);
    assert_int_equal(ASYNC_start_job(&job, wait, &result, pause_in_a_job, NULL, 0), ASYNC_PAUSE);
    assert_int_equal(ASYNC_start_job(&job, wait, &result, pause_in_a_job, NULL, 0), ASYNC_FINISH);
    assert_int_equal(result, 1);
    ASYNC_WAIT_CTX_free(wait);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_and_marks_come_back),
        cmocka_unit_test(test_an_empty_queue_stays_empty),
        cmocka_unit_test(test_a_signal_of_the_host_stays),
        cmocka_unit_test(test_no_handler_runs_meanwhile),
        cmocka_unit_test(test_no_job_pauses_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
