/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/outcome.h"

#include <errno.h>
#include <string.h>

#define CROWDED_TEXT "too many concurrent connections" /* the words of a newer agent */
#define CONNECT_LOOK_MS 10

long consul_exchange_status(const consul_exchange *x)
{
    long status = 0;

    return curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK ? status : 0;
}

bool consul_exchange_was_told_of_crowd(const consul_exchange *x)
{
    return x->body.data != NULL && consul_exchange_status(x) == 429
           && strstr(x->body.data, CROWDED_TEXT) != NULL;
}

/*
 * Return true where a unix socket closed the connection at once, or had no place in its queue.
 * libcurl calls that a failure to connect, with an errno of its own making.
 */
static bool was_shut_out(const consul_exchange *x, CURLcode code)
{
    long error = 0;

    return code == CURLE_COULDNT_CONNECT && x->agent->address.socket_path != NULL && x->want == 0
           && x->fd >= 0 && curl_easy_getinfo(x->curl, CURLINFO_OS_ERRNO, &error) == CURLE_OK
           && (error == 0 || error == EAGAIN || error == EPIPE || error == ECONNRESET);
}

bool consul_exchange_was_crowded_out(const consul_exchange *x, CURLcode code)
{
    curl_off_t received = 0;

    if (consul_exchange_was_told_of_crowd(x) || was_shut_out(x, code))
        return true;
    if (code != CURLE_RECV_ERROR && code != CURLE_SEND_ERROR && code != CURLE_GOT_NOTHING
        && code != CURLE_SSL_CONNECT_ERROR)
        return false;
    curl_easy_getinfo(x->curl, CURLINFO_HEADER_SIZE, &received);
    return received == 0 && x->body.len == 0;
}

bool consul_exchange_was_limited(const consul_exchange *x, CURLcode code)
{
    return code == CURLE_OK && consul_exchange_status(x) == 429;
}

bool consul_exchange_was_unanswered(const consul_exchange *x, CURLcode code)
{
    return code == CURLE_OPERATION_TIMEDOUT && x->has_time && !x->unread;
}

/*
 * Return true for the words of an agent that lacks something itself: a user of its host may have
 * it.
 */
static bool tells_of_want(const consul_exchange *x)
{
    static const char *const words[] = {
        "rate limit",                      /* limits.request_limits */
        "too many open files",             /* EMFILE and ENFILE, in the words of Go */
        "cannot assign requested address", /* EADDRNOTAVAIL: no port is left */
    };
    size_t i;

    for (i = 0; x->body.data != NULL && i < sizeof(words) / sizeof(*words); i++) {
        if (strstr(x->body.data, words[i]) != NULL)
            return true;
    }
    return false;
}

bool consul_exchange_found_loss(const consul_exchange *x, CURLcode code)
{
    long error = 0;

    if (x->want != 0)
        return false;
    if (code == CURLE_COULDNT_CONNECT)
        return curl_easy_getinfo(x->curl, CURLINFO_OS_ERRNO, &error) == CURLE_OK
               && consul_attempts_found_nobody(&x->attempts, error);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return consul_exchange_was_unanswered(x, code) && x->was_looked_up;
    return code == CURLE_OK && consul_exchange_status(x) >= 500 && !x->logs_in && !tells_of_want(x);
}

bool consul_exchange_was_disowned(const consul_exchange *x, CURLcode code)
{
    return code == CURLE_OK && !x->logs_in && consul_exchange_status(x) == 403
           && x->body.data != NULL && strstr(x->body.data, "ACL not found") != NULL;
}

void consul_exchange_learn(const consul_exchange *x, CURLcode code)
{
    char *ip = NULL;

    if (x->passed_over && (code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT))
        consul_attempts_pass_over_none();
    else if (code == CURLE_OK && x->attempts.count > 1
             && curl_easy_getinfo(x->curl, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK && ip != NULL)
        consul_attempts_pass_over_others(&x->attempts, ip);
}

int consul_exchange_patience(const consul_exchange *x, int most)
{
    curl_off_t began = 0;

    if (most <= CONNECT_LOOK_MS
        || curl_easy_getinfo(x->curl, CURLINFO_PRETRANSFER_TIME_T, &began) != CURLE_OK || began > 0)
        return most;
    return CONNECT_LOOK_MS;
}
