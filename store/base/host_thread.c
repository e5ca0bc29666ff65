/* SPDX-License-Identifier: Apache-2.0 */
/* Before version 3.2 only the deprecated ERR_STATE gives a queue away. It alone has the marks, too. */
#undef OPENSSL_NO_DEPRECATED
#undef OPENSSL_API_COMPAT
#define OPENSSL_SUPPRESS_DEPRECATED

#include "base/host_thread.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include <openssl/async.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

struct consul_host_thread {
    ERR_STATE *queue;
    bool pipe_pending; /* a SIGPIPE of the host's waits already */
    sigset_t signals;
};

#if OPENSSL_VERSION_MAJOR < 4

static ERR_STATE *take_queue(void)
{
    ERR_STATE *kept = OPENSSL_malloc(sizeof(*kept)), *queue = ERR_get_state();

    if (kept == NULL || queue == NULL) {
        OPENSSL_free(kept);
        return NULL;
    }
    *kept = *queue;
    memset(queue, 0, sizeof(*queue));
    return kept;
}

/* Put the queue back. The texts of the other one are kept for later errors, and freed here. */
static void give_back_queue(ERR_STATE *kept)
{
    ERR_STATE *queue = ERR_get_state();
    size_t i;

    ERR_clear_error();
    for (i = 0; i < ERR_NUM_ERRORS; i++) {
        if ((queue->err_data_flags[i] & ERR_TXT_MALLOCED) != 0)
            OPENSSL_free(queue->err_data[i]);
    }
    *queue = *kept;
    OPENSSL_free(kept);
}

#else

static ERR_STATE *take_queue(void)
{
    ERR_STATE *kept = OSSL_ERR_STATE_new();

    if (kept != NULL)
        OSSL_ERR_STATE_save(kept);
    return kept;
}

/* Put the errors back. Their marks are lost, but for the hook's own, behind the last error. */
static void give_back_queue(ERR_STATE *kept)
{
    ERR_clear_error();
    OSSL_ERR_STATE_restore(kept);
    OSSL_ERR_STATE_free(kept);
    ERR_set_mark();
}

#endif

consul_host_thread *consul_host_thread_leave(void)
{
    consul_host_thread *host = OPENSSL_zalloc(sizeof(*host));
    sigset_t pending, all;

    if (host == NULL || (host->queue = take_queue()) == NULL) {
        OPENSSL_free(host);
        return NULL;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &host->signals);
    ASYNC_block_pause();
    sigpending(&pending);
    host->pipe_pending = sigismember(&pending, SIGPIPE) == 1;
    return host;
}

void consul_host_thread_return(consul_host_thread *host)
{
    static const struct timespec at_once;
    sigset_t pipe;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (!host->pipe_pending)
        sigtimedwait(&pipe, NULL, &at_once);
    ASYNC_unblock_pause();
    pthread_sigmask(SIG_SETMASK, &host->signals, NULL);
    give_back_queue(host->queue);
    OPENSSL_free(host);
}
