/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/exchange.h"

#include "agent/agent_tls.h"
#include "agent/agent_user.h"
#include "agent/cleansing.h"
#include "agent/curl_tls.h"
#include "agent/hint.h"
#include "agent/outcome.h"
#include "agent/url.h"
#include "base/descriptor.h"
#include "base/event.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

#include <openssl/crypto.h>
#include <openssl/ssl.h>

#define AGENT_TEXT_SHOWN 400 /* bytes of the agent's own words in an error text */

static size_t receive_body(char *data, size_t size, size_t count, void *arg)
{
    consul_exchange *x = arg;
    size_t more = size * count;

    if (more > CONSUL_ANSWER_MAX - x->body.len) {
        x->body.too_large = true;
        return 0;
    }
    if (x->body.len + more + 1 > x->body.size) {
        size_t bigger = 2 * (x->body.len + more + 1);
        char *grown = OPENSSL_clear_realloc(x->body.data, x->body.size, bigger);

        if (grown == NULL)
            return 0;
        x->body.data = grown;
        x->body.size = bigger;
    }
    memcpy(x->body.data + x->body.len, data, more);
    x->body.len += more;
    x->body.data[x->body.len] = '\0';
    return more;
}

/* Take the index from a header line, which may be binary. Return the length of the line. */
static size_t receive_header(char *data, size_t size, size_t count, void *arg)
{
    static const char name[] = "X-Consul-Index:";
    consul_exchange *x = arg;
    size_t len = size * count, i;
    uint64_t index = 0;

    if (len < sizeof(name) || strncasecmp(data, name, sizeof(name) - 1) != 0)
        return len;
    for (i = sizeof(name) - 1; i < len && data[i] == ' '; i++)
        ;
    for (; i < len && data[i] >= '0' && data[i] <= '9' && index < UINT64_MAX / 10 - 1; i++)
        index = 10 * index + (uint64_t)(data[i] - '0');
    x->index = index == 0 ? 1 : index; /* a request with index 0 does not block */
    return len;
}

bool consul_exchange_passes_over(consul_exchange *x, const struct curl_sockaddr *address)
{
    bool passes = consul_attempts_passes_over(&address->addr, address->addrlen);

    x->passed_over |= passes;
    return passes;
}

/* Note the errno, because libcurl reports a lack of sockets like an agent that does not listen. */
curl_socket_t consul_exchange_note_socket(consul_exchange *x, const struct curl_sockaddr *address,
                                          int fd)
{
    if (fd < 0 && errno != EAFNOSUPPORT)
        x->want = errno;
    if (fd >= 0) {
        consul_attempts_add(&x->attempts, &address->addr, address->addrlen);
        x->fd = fd;
        x->was_looked_up |= consul_now_ms() <= x->look_up_until;
    }
    return fd;
}

/* Open a socket that no executed program inherits. No standard file has its number. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    if (consul_exchange_passes_over(arg, address))
        return CURL_SOCKET_BAD;
    return consul_exchange_note_socket(
        arg, address,
        consul_descriptor_above_stderr(
            socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol)));
}

/* Return the own port of a TCP connection, or 0. */
static int own_port_of(int fd)
{
    struct sockaddr_storage own = {0};
    socklen_t len = sizeof(own);

    if (getsockname(fd, (struct sockaddr *)&own, &len) != 0)
        return 0;
    if (own.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&own)->sin_port);
    return own.ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)&own)->sin6_port) : 0;
}

/* Note an unread answer. Where this process was held up itself, libcurl finds the time over and reads no answer. */
void consul_exchange_note_close(consul_exchange *x, int fd)
{
    char byte;

    if (fd == x->fd || (x->own_port != 0 && own_port_of(fd) == x->own_port))
        x->unread |= recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    consul_exchange_note_close(arg, fd);
    return close(fd);
}

/* Check the agent's user by a new connection, before the request, which has the token. */
static bool is_of_right_user(consul_exchange *x, const char *agent_ip, const char *own_ip,
                             int agent_port, int own_port)
{
    const consul_connection connection = {
        .is_unix = x->agent->address.socket_path != NULL,
        .fd = x->fd,
        .agent_ip = agent_ip,
        .agent_port = agent_port,
        .own_ip = own_ip,
        .own_port = own_port,
    };

    return consul_agent_user_check(&connection, x->agent->settings->agent_user, x->agent->user,
                                   &x->stranger);
}

/* Note the connection, new or reused. A reused one has been looked up. */
static int begin_request(void *arg, char *agent_ip, char *own_ip, int agent_port, int own_port)
{
    consul_exchange *x = arg;

    x->own_port = own_port;
    x->was_looked_up |= x->fd < 0;
    return x->agent->settings->agent_user == NULL
                   || is_of_right_user(x, agent_ip, own_ip, agent_port, own_port)
               ? CURL_PREREQFUNC_OK
               : CURL_PREREQFUNC_ABORT;
}

#define SET(option, value) (curl_easy_setopt(curl, (option), (value)) == CURLE_OK)
#define SET_TEXT(option, value) ((value) == NULL || SET(option, value))

/* Set the options of every request. No option is left to the host's environment. */
static int set_transfer(consul_exchange *x, const consul_agent *agent,
                        const consul_request *request, long timeout)
{
    const consul_settings *settings = agent->settings;
    long connect_timeout = (long)settings->connect_timeout;
    CURL *curl = x->curl;

    return SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_ERRORBUFFER, x->curl_text)
           && SET(CURLOPT_CURLU, x->url) && SET(CURLOPT_HTTPHEADER, x->headers)
           && SET_TEXT(CURLOPT_CONNECT_TO, x->connect_to)
           && SET_TEXT(request->logs_in ? CURLOPT_POSTFIELDS : CURLOPT_COPYPOSTFIELDS,
                       request->body) /* libcurl makes no copy of a JWT */
           && (!request->writes || SET(CURLOPT_CUSTOMREQUEST, "PUT"))
           && SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_PROXY, "")
           && SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1)
           && SET(CURLOPT_USERAGENT, "consul-provider") && SET(CURLOPT_FORBID_REUSE, 1L)
           && SET(CURLOPT_QUICK_EXIT, 1L) /* libcurl does not wait for a resolver that hangs */
           && SET(CURLOPT_TIMEOUT_MS, timeout)
           && SET(CURLOPT_CONNECTTIMEOUT_MS, connect_timeout < timeout ? connect_timeout : timeout)
           && SET(CURLOPT_WRITEFUNCTION, receive_body) && SET(CURLOPT_WRITEDATA, x)
           && SET(CURLOPT_HEADERFUNCTION, receive_header) && SET(CURLOPT_HEADERDATA, x)
           && SET(CURLOPT_OPENSOCKETFUNCTION, open_socket) && SET(CURLOPT_OPENSOCKETDATA, x)
           && SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket) && SET(CURLOPT_CLOSESOCKETDATA, x)
           && SET(CURLOPT_PREREQFUNCTION, begin_request) && SET(CURLOPT_PREREQDATA, x)
           && SET_TEXT(CURLOPT_UNIX_SOCKET_PATH, agent->address.socket_path)
           && SET_TEXT(CURLOPT_USERPWD, settings->http_auth) && consul_agent_tls_set(x);
}

static int64_t time_left(consul_deadline deadline, int64_t most)
{
    int64_t left = deadline == CONSUL_NO_DEADLINE ? most : deadline - consul_now_ms();

    return left < most ? left : most;
}

static const char *curl_trouble; /* the reason not to use libcurl in this process, or NULL */

/* Initialise libcurl. It overwrites what it frees, unless the host has initialised it before. */
static CURLcode start_curl(void)
{
    void *before = consul_curl_tls_begin();
    CURLcode code = consul_cleansing_is_possible()
                        ? curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, consul_cleansing_free,
                                               consul_cleansing_realloc, strdup, calloc)
                        : curl_global_init(CURL_GLOBAL_DEFAULT);

    consul_curl_tls_end(before);
    return code;
}

/*
 * Initialise libcurl. OSSL_provider_init does not, as it holds the lock of libcrypto's
 * configuration, and libcurl may call libcrypto.
 *
 * libcurl creates the file that SSLKEYLOGFILE names here, by plain getenv and for plain HTTP too.
 * In a set-user-ID program, a stranger would have chosen that file. The variable stays, as the
 * host's threads may read the environment. Requests fail instead, until the program is started
 * without the variable.
 */
static void init_curl(void)
{
    if (getauxval(AT_SECURE) != 0 && getenv("SSLKEYLOGFILE") != NULL)
        curl_trouble = "libcurl would write to the file that SSLKEYLOGFILE names: start this "
                       "set-user-ID program without that variable";
    else if (start_curl() != CURLE_OK)
        curl_trouble = "libcurl does not start";
}

int consul_exchange_prepare(consul_exchange *x, const consul_agent *agent,
                            const consul_request *request, consul_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int64_t most = agent->settings->request_timeout, timeout;

    memset(x, 0, sizeof(*x));
    x->agent = agent;
    x->is_for_newer = request->index != 0;
    x->logs_in = request->logs_in;
    x->began = consul_now_ms();
    x->fd = -1;
    x->writes = request->writes;
    pthread_once(&once, init_curl);
    if (curl_trouble != NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID, "%s", curl_trouble);
    if ((x->url = consul_url_make(agent, request)) == NULL || (x->curl = curl_easy_init()) == NULL
        || !consul_append_header(&x->headers, "Content-Type: application/json")
        || (agent->address.connect_to != NULL
            && !consul_append_header(&x->connect_to, agent->address.connect_to)))
        return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a request to the agent");
    consul_url_describe(x->url, agent, request, x->source);
    if (!request->logs_in
        && !consul_append_token(agent, request->token, &x->headers, &x->token, err))
        return 0;
    if (!consul_agent_tls_check(x, err))
        return 0;
    /* Servers spread the ends of blocking queries over a sixteenth of `wait` more. */
    timeout = time_left(request->deadline, most + request->wait + request->wait / 16);
    if (timeout <= 0)
        return consul_error_set(err, CONSUL_R_AGENT_TIMEOUT, "%s: no time was left for the request",
                                x->source);
    x->look_up_until = consul_deadline_after(
        (agent->settings->connect_timeout < timeout ? agent->settings->connect_timeout : timeout)
        / 2);
    x->has_time = timeout >= most || timeout >= agent->settings->authorize_timeout / 2;
    return set_transfer(x, agent, request, (long)timeout)
           || consul_error_set(err, CONSUL_R_INTERNAL, "%s: libcurl refused an option", x->source);
}

static int refuse(const consul_exchange *x, CURLcode code, long status, consul_error *err)
{
    char hint[CONSUL_HINT_MAX];

    consul_hint_write(x, code, status, hint);
    if (x->stranger.reason != 0)
        return consul_error_set(err, x->stranger.reason, "%s: %s", x->source, x->stranger.text);
    if (x->body.too_large)
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                                "%s: the answer is larger than %zu bytes", x->source,
                                CONSUL_ANSWER_MAX);
    if (consul_exchange_was_told_of_crowd(x))
        return consul_error_set(err, CONSUL_R_AGENT_UNREACHABLE, "%s: HTTP status 429: %.*s",
                                x->source, AGENT_TEXT_SHOWN, x->body.data);
    if (code != CURLE_OK && x->want != 0)
        return consul_error_set(err, CONSUL_R_AGENT_UNREACHABLE,
                                "%s: this process could not open a socket: %s (see its limit of "
                                "open files)",
                                x->source, strerror(x->want));
    if (code != CURLE_OK)
        return consul_error_set(
            err,
            code == CURLE_OPERATION_TIMEDOUT && x->fd >= 0 ? CONSUL_R_AGENT_TIMEOUT
                                                           : CONSUL_R_AGENT_UNREACHABLE,
            "%s: %s%s", x->source, *x->curl_text != '\0' ? x->curl_text : curl_easy_strerror(code),
            hint);
    if (status != 200)
        return consul_error_set(err, CONSUL_R_AGENT_REFUSED, "%s: HTTP status %ld: %.*s%s",
                                x->source, status, AGENT_TEXT_SHOWN,
                                x->body.len == 0 ? "no text" : x->body.data, hint);
    return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID, "%s: the answer is empty",
                            x->source);
}

/* Return 1 for an answer that the caller can use, and 0 with an error otherwise. */
static int judge(const consul_exchange *x, CURLcode code, long status, consul_error *err)
{
    if (code == CURLE_OK && status == 200 && x->stranger.reason == 0 && !x->body.too_large
        && (x->body.len > 0 || x->writes))
        return 1;
    return refuse(x, code, status, err);
}

/* Return the Date of the answer, in seconds since 1970; 0 without one. */
static int64_t date_of(const consul_exchange *x)
{
    struct curl_header *header;
    time_t date = -1;

    if (curl_easy_header(x->curl, "Date", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        date = curl_getdate(header->value, NULL);
    return date < 0 ? 0 : date;
}

/*
 * Tell whether the agent is lost or not. An answer that says neither is no event. An agent that has no leaf of
 * a service yet answers 500 to the request for a newer one. So does Consul to a login with a wrong JWT.
 */
static void tell(const consul_exchange *x, const consul_answer *answer, const consul_error *why)
{
    if ((x->is_for_newer || x->logs_in) && answer->status >= 500)
        return;
    if (answer->lost)
        consul_event_tell(
            &(consul_event){.kind = CONSUL_EVENT_AGENT_LOST, .text = why->text, .began = x->began});
    else if (answer->status != 0 && answer->status < 500)
        consul_event_tell(&(consul_event){.kind = CONSUL_EVENT_AGENT_BACK, .began = x->began});
}

int consul_exchange_finish(consul_exchange *x, CURLcode code, consul_answer *answer,
                           consul_error *err)
{
    consul_error why = {0};
    int ok;

    memset(answer, 0, sizeof(*answer));
    OPENSSL_strlcpy(answer->source, x->source, sizeof(answer->source));
    if (code == CURLE_OK) {
        answer->status = consul_exchange_status(x);
        answer->date = date_of(x);
    }
    answer->unanswered = consul_exchange_was_unanswered(x, code);
    answer->lost = consul_exchange_found_loss(x, code);
    answer->disowned = consul_exchange_was_disowned(x, code);
    ok = judge(x, code, answer->status, &why);
    tell(x, answer, &why);
    if (!ok)
        return consul_error_copy(err, &why);
    answer->index = x->index;
    answer->body = x->body.data;
    answer->len = x->body.len;
    x->body.data = NULL;
    return 1;
}

void consul_exchange_clear(consul_exchange *x)
{
    struct curl_slist *header;

    curl_easy_cleanup(x->curl);
    curl_url_cleanup(x->url);
    curl_slist_free_all(x->connect_to);
    curl_slist_free_all(x->addresses);
    for (header = x->headers; header != NULL; header = header->next)
        OPENSSL_cleanse(header->data, strlen(header->data));
    curl_slist_free_all(x->headers);
    OPENSSL_clear_free(x->body.data, x->body.size);
    memset(x, 0, sizeof(*x));
}
