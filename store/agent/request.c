/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/request.h"

#include "agent/cleansing.h"
#include "agent/exchange.h"
#include "agent/look_up.h"
#include "agent/outcome.h"
#include "agent/slot.h"
#include "base/cancel.h"
#include "base/host_thread.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#define TRIES_MAX 7             /* tries of one request */
#define CROWDED_TRY_PAUSE_MS 10 /* after a crowded try; each further pause is twice as long */
#define LIMITED_TRY_PAUSE_MS 80 /* after an answer of "too many requests"; likewise */
#define LEAST_MS 20             /* the least time for another try */

static _Thread_local bool in_request;

bool consul_in_request(void)
{
    return in_request;
}

void consul_enter_request(bool inside)
{
    in_request = inside;
}

#define LONGEST_PATIENCE_MS 1000 /* as curl_easy_perform has it */

/* Run an exchange to its end, as curl_easy_perform would. Return libcurl's result. */
static CURLcode run_to_end(const consul_exchange *exchange)
{
    CURLM *multi = curl_multi_init();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    const CURLMsg *message;
    int running = 1, left;

    if (multi == NULL || curl_multi_add_handle(multi, exchange->curl) != CURLM_OK)
        goto done;
    while (curl_multi_perform(multi, &running) == CURLM_OK && running > 0
           && curl_multi_poll(multi, NULL, 0,
                              consul_exchange_patience(exchange, LONGEST_PATIENCE_MS), NULL)
                  == CURLM_OK)
        ;
    message = curl_multi_info_read(multi, &left);
    if (message != NULL && message->msg == CURLMSG_DONE)
        code = message->data.result;
    curl_multi_remove_handle(multi, exchange->curl);

done:
    curl_multi_cleanup(multi);
    return code;
}

/* Run an HTTPS request in this thread, whose TLS is libcurl's from here on. */
static void *run_https(void *arg)
{
    consul_exchange *exchange = arg;

    consul_enter_request(true);
    exchange->code = run_to_end(exchange);
    consul_cleanse_traces(); /* of this thread, whose stack the C library keeps for another one */
    return NULL;
}

/*
 * Run an HTTPS request in the caller's thread, where the process can make no other. A limit of
 * processes may be the reason, or a filter of system calls.
 */
static void run_https_here(consul_exchange *exchange)
{
    consul_host_thread *host = consul_host_thread_leave();
    bool was_inside = consul_in_request(); /* a watch, for a login */

    if (host == NULL)
        return;
    run_https(exchange);
    consul_enter_request(was_inside);
    consul_host_thread_return(host);
}

/*
 * Run a request, and return libcurl's result. HTTPS runs in a thread of its own. There libcurl
 * empties the thread's error queue, marks included, and its writes may raise SIGPIPE. The caller's
 * queue and signals stay untouched.
 *
 * The caller's thread may leave meanwhile: for a fibre that makes another handshake, or by siglongjmp for good. So plain HTTP
 * leaves no mark on this thread, and the other thread writes to nothing on its stack.
 */
static CURLcode perform(consul_exchange *exchange)
{
    pthread_t thread;
    sigset_t all, old;
    int error;

    if (!exchange->agent->address.https)
        return run_to_end(exchange);
    exchange->code = CURLE_OUT_OF_MEMORY;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&thread, NULL, run_https, exchange);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error == 0)
        pthread_join(thread, NULL);
    else
        run_https_here(exchange);
    return exchange->code;
}

/*
 * Pause before the next try. Return false where too little time is left. The pause is random, so
 * that processes that were refused together come back apart.
 */
static bool pause_before(int try, int64_t first, consul_deadline deadline)
{
    int64_t length = consul_jitter(first << (try - 1));
    struct timespec pause = {.tv_sec = length / 1000, .tv_nsec = length % 1000 * 1000000};

    if (consul_deadline_after(length + LEAST_MS) >= deadline)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

/*
 * Return true for another try after so many, with the pause behind it. The last one begins before
 * `deadline`. One refused connection may be chance. From the second one on, watches are asked for
 * theirs.
 */
static bool tries_again(const consul_agent *agent, const consul_request *request,
                        consul_deadline deadline, const consul_exchange *exchange, CURLcode code,
                        int tries, consul_descriptor *word)
{
    if (tries == TRIES_MAX)
        return false;
    if (code == CURLE_GOT_NOTHING && request->index != 0)
        return false; /* the index may be the reason */
    if (code == CURLE_COULDNT_CONNECT && exchange->passed_over)
        return true; /* no address is passed over now */
    if (consul_exchange_was_crowded_out(exchange, code)) {
        if (tries > 1)
            consul_slot_ask_for_some(agent, word);
        return pause_before(tries, CROWDED_TRY_PAUSE_MS, deadline);
    }
    return request->insists && consul_exchange_was_limited(exchange, code)
           && pause_before(tries, LIMITED_TRY_PAUSE_MS, deadline);
}

static int request_answer(const consul_agent *agent, const consul_request *request,
                          consul_answer *answer, consul_error *err)
{
    consul_exchange *exchange = OPENSSL_zalloc(sizeof(*exchange));
    int64_t began = consul_now_ms(), last_try = began + agent->settings->request_timeout;
    bool crowded_out = false, limited = false;
    consul_descriptor word = consul_no_descriptor;
    int tries = 0, ok;
    CURLcode code = CURLE_OK;

    memset(answer, 0, sizeof(*answer));
    if (exchange == NULL)
        return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a request to the agent");
    if (last_try > request->deadline)
        last_try = request->deadline;
    do {
        consul_exchange_clear(exchange);
        ok = consul_exchange_prepare(exchange, agent, request, err);
        if (ok)
            code = perform(exchange);
        if (ok && code == CURLE_COULDNT_RESOLVE_HOST
            && consul_look_up_here(exchange, request->deadline))
            code = perform(exchange);
        if (ok)
            consul_exchange_learn(exchange, code);
        crowded_out = ok && consul_exchange_was_crowded_out(exchange, code);
        limited = ok && request->insists && consul_exchange_was_limited(exchange, code);
    } while (ok && tries_again(agent, request, last_try, exchange, code, ++tries, &word));
    consul_descriptor_close(&word);
    if (ok)
        ok = consul_exchange_finish(exchange, code, answer, err);
    answer->cut_off = request->index != 0 && code == CURLE_GOT_NOTHING;
    answer->crowded_out = crowded_out && !answer->cut_off;
    answer->limited = limited;
    answer->began = began;
    consul_exchange_clear(exchange);
    OPENSSL_free(exchange);
    return ok;
}

/*
 * Make the request with cancellation off. A cancelled thread would leave libcurl half done. A
 * thread with its HTTPS request would write to a stack that is gone.
 */
int consul_agent_request(const consul_agent *agent, const consul_request *request,
                         consul_answer *answer, consul_error *err)
{
    int state = consul_forbid_cancel(), ok;

    ok = request_answer(agent, request, answer, err);
    consul_cleanse_traces();
    consul_allow_cancel(state);
    return ok;
}

void consul_answer_free(consul_answer *answer)
{
    OPENSSL_clear_free(answer->body, answer->len);
    answer->body = NULL;
    answer->len = 0;
}
