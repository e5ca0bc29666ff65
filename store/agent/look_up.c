/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/look_up.h"

#include "agent/token.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#define ADDRESSES_TEXT_MAX 1024 /* bytes for libcurl; further addresses are left out */

static void *do_nothing(void *arg)
{
    return arg;
}

static bool can_make_thread(void)
{
    sigset_t all, old;
    pthread_t thread;
    bool made;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    made = pthread_create(&thread, NULL, do_nothing, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (made)
        pthread_join(thread, NULL);
    return made;
}

/* Add the addresses to "host:port:", with a comma between two. Return false without one. */
static bool append_addresses(const struct addrinfo *found, char text[ADDRESSES_TEXT_MAX])
{
    size_t len = strlen(text);
    bool any = false;
    char address[64];

    for (; found != NULL; found = found->ai_next) {
        if (getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof(address), NULL, 0,
                        NI_NUMERICHOST)
                != 0
            || len + strlen(address) + 4 > ADDRESSES_TEXT_MAX)
            continue;
        len += (size_t)snprintf(text + len, ADDRESSES_TEXT_MAX - len,
                                found->ai_family == AF_INET6 ? "%s[%s]" : "%s%s", any ? "," : "",
                                address);
        any = true;
    }
    return any;
}

static bool look_up(consul_exchange *x, const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    char text[ADDRESSES_TEXT_MAX];
    struct addrinfo *found = NULL;
    bool ok;

    if ((size_t)snprintf(text, sizeof(text), "%s:%s:", host, port) >= sizeof(text)
        || getaddrinfo(host, port, &hints, &found) != 0)
        return false;
    ok = append_addresses(found, text) && consul_append_header(&x->addresses, text)
         && curl_easy_setopt(x->curl, CURLOPT_RESOLVE, x->addresses) == CURLE_OK;
    freeaddrinfo(found);
    return ok;
}

static bool look_up_agent(consul_exchange *x)
{
    const char *connect_to = x->agent->address.connect_to, *colon;
    char *host = NULL, *port = NULL;
    bool ok = false;

    if (x->addresses != NULL || x->agent->address.socket_path != NULL || can_make_thread())
        return false;
    if (connect_to != NULL && (colon = strrchr(connect_to, ':')) != NULL) {
        connect_to += strlen("::"); /* for any host and port of the URL */
        host = OPENSSL_strndup(connect_to, (size_t)(colon - connect_to));
        ok = host != NULL && look_up(x, host, colon + 1);
        OPENSSL_free(host);
        return ok;
    }
    ok = curl_url_get(x->url, CURLUPART_HOST, &host, 0) == CURLUE_OK
         && curl_url_get(x->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK
         && look_up(x, host, port);
    curl_free(host);
    curl_free(port);
    return ok;
}

bool consul_look_up_here(consul_exchange *x, consul_deadline deadline)
{
    int64_t most = x->agent->settings->request_timeout, left;

    if (!look_up_agent(x))
        return false;
    left = deadline - consul_now_ms();
    return left > 0
           && curl_easy_setopt(x->curl, CURLOPT_TIMEOUT_MS, (long)(left < most ? left : most))
                  == CURLE_OK;
}
