/*
 * HTTP with the local agent. Each request has a connection of its own, closed when it returns: no
 * state lives between requests, so nothing is inherited over a fork and no place among the agent's
 * few connections per host (limits.http_max_conns_per_client) is held for nothing.
 */
#include "internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <curl/curl.h>
#include <openssl/crypto.h>

#define TOKEN_MAX 4096       /* bytes of a token file */
#define AGENT_TEXT_SHOWN 400 /* bytes of the agent's own error text in ours */

struct consul_agent {
    const consul_settings *settings; /* borrowed */
    consul_address address;
};

static _Thread_local bool in_request;

bool consul_store_in_request(void)
{
    return in_request;
}

consul_agent *consul_agent_new(const consul_settings *settings, consul_error *err)
{
    consul_agent *agent = OPENSSL_zalloc(sizeof(*agent));

    if (agent == NULL) {
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the agent");
        return NULL;
    }
    agent->settings = settings;
    if (!consul_address_parse(settings, &agent->address, err)) {
        consul_agent_free(agent);
        return NULL;
    }
    return agent;
}

void consul_agent_free(consul_agent *agent)
{
    if (agent == NULL)
        return;
    consul_address_clear(&agent->address);
    OPENSSL_free(agent);
}

/* ---- the token ---- */

/* Read token_file into `token`, trimmed: "" where it is empty. */
static int read_token_file(const char *path, char token[TOKEN_MAX + 1], consul_error *err)
{
    FILE *file = fopen(path, "re");
    char *start = token, *p;
    size_t len;

    if (file == NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID, "token_file \"%s\": %s", path,
                                strerror(errno));
    setvbuf(file, NULL, _IONBF, 0); /* so that stdio keeps no copy */
    len = fread(token, 1, TOKEN_MAX + 1, file);
    if (ferror(file) || len > TOKEN_MAX) {
        fclose(file);
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "token_file \"%s\" can not be read or is longer than %d bytes",
                                path, TOKEN_MAX);
    }
    fclose(file);
    token[len] = '\0';
    while (len > 0 && strchr(" \t\r\n", token[len - 1]) != NULL)
        token[--len] = '\0';
    start += strspn(start, " \t\r\n");
    memmove(token, start, strlen(start) + 1);
    for (p = token; *p != '\0'; p++) {
        if ((unsigned char)*p <= 0x20 || *p == 0x7f)
            return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                    "token_file \"%s\" holds more than one word", path);
    }
    return 1;
}

static int append_header(struct curl_slist **headers, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*headers, line);

    if (longer == NULL)
        return 0;
    *headers = longer;
    return 1;
}

static int append_token_line(const consul_agent *agent, char token[TOKEN_MAX + 1],
                             char line[TOKEN_MAX + 32], struct curl_slist **headers,
                             consul_error *err)
{
    const consul_settings *settings = agent->settings;
    const char *value;

    if (settings->token_file != NULL && !read_token_file(settings->token_file, token, err))
        return 0;
    value = token[0] != '\0' ? token : settings->token;
    if (value == NULL)
        return 1;
    if (snprintf(line, TOKEN_MAX + 32, "X-Consul-Token: %s", value) >= TOKEN_MAX + 32)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID, "token is too long");
    return append_header(headers, line)
           || consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a request");
}

/* Not on the stack: it may be that of a fibre of OpenSSL's ASYNC jobs, which has 32 kB. */
static int append_token(const consul_agent *agent, struct curl_slist **headers, consul_error *err)
{
    char *token = OPENSSL_zalloc(TOKEN_MAX + 1), *line = OPENSSL_zalloc(TOKEN_MAX + 32);
    int ok = 0;

    if (token == NULL || line == NULL)
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a request");
    else
        ok = append_token_line(agent, token, line, headers, err);
    OPENSSL_clear_free(token, TOKEN_MAX + 1);
    OPENSSL_clear_free(line, TOKEN_MAX + 32);
    return ok;
}

static void free_headers(struct curl_slist *headers)
{
    struct curl_slist *header;

    for (header = headers; header != NULL; header = header->next)
        OPENSSL_cleanse(header->data, strlen(header->data));
    curl_slist_free_all(headers);
}

/* ---- the request ---- */

/* The path: prefix of the address, path of the API, one encoded segment. */
static int set_path(CURLU *url, const consul_request *request)
{
    char *prefix = NULL, *segment = NULL, *path = NULL;
    const char *more = request->last_segment;
    size_t len;
    int ok = 0;

    if (curl_url_get(url, CURLUPART_PATH, &prefix, 0) != CURLUE_OK)
        return 0;
    for (len = strlen(prefix); len > 0 && prefix[len - 1] == '/'; len--)
        ;
    if ((more == NULL || (segment = curl_easy_escape(NULL, more, (int)strlen(more))) != NULL)
        && asprintf(&path, "%.*s%s%s", (int)len, prefix, request->path,
                    segment == NULL ? "" : segment)
               >= 0)
        ok = curl_url_set(url, CURLUPART_PATH, path, 0) == CURLUE_OK;
    else
        path = NULL;
    curl_free(prefix);
    curl_free(segment);
    free(path);
    return ok;
}

static int set_parameter(CURLU *url, const char *name, const char *value)
{
    char parameter[CONSUL_NAME_MAX + 16];

    if (*value == '\0')
        return 1;
    snprintf(parameter, sizeof(parameter), "%s=%s", name, value);
    return curl_url_set(url, CURLUPART_QUERY, parameter, CURLU_APPENDQUERY | CURLU_URLENCODE)
           == CURLUE_OK;
}

static CURLU *make_url(const consul_agent *agent, const consul_request *request)
{
    const consul_scope *scope = request->scope;
    CURLU *url = curl_url();

    if (url != NULL && curl_url_set(url, CURLUPART_URL, agent->address.base, 0) == CURLUE_OK
        && set_path(url, request)
        && (scope == NULL
            || (set_parameter(url, "dc", scope->dc) && set_parameter(url, "ns", scope->ns)
                && set_parameter(url, "partition", scope->partition))))
        return url;
    curl_url_cleanup(url);
    return NULL;
}

typedef struct body_buffer {
    char *data;
    size_t len, size;
    bool too_large;
} body_buffer;

static size_t receive_body(char *data, size_t size, size_t count, void *arg)
{
    body_buffer *body = arg;
    size_t more = size * count;

    if (more > CONSUL_ANSWER_MAX - body->len) {
        body->too_large = true;
        return 0;
    }
    if (body->len + more + 1 > body->size) {
        size_t bigger = 2 * (body->len + more + 1);
        char *grown = OPENSSL_clear_realloc(body->data, body->size, bigger);

        if (grown == NULL)
            return 0;
        body->data = grown;
        body->size = bigger;
    }
    memcpy(body->data + body->len, data, more);
    body->len += more;
    body->data[body->len] = '\0';
    return more;
}

/* A program that is executed while a request runs must not inherit its socket. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

#define SET(option, value) (curl_easy_setopt(curl, (option), (value)) == CURLE_OK)
#define SET_TEXT(option, value) ((value) == NULL || SET(option, value))

static int set_tls(CURL *curl, const consul_settings *settings)
{
    /* Left alone, libcurl trusts the system's CAs by the one that is not configured. */
    bool own_cas = settings->ca_file != NULL || settings->ca_path != NULL;

    return SET(CURLOPT_SSL_VERIFYPEER, settings->tls_verify ? 1L : 0L)
           && SET(CURLOPT_SSL_VERIFYHOST, settings->tls_verify ? 2L : 0L)
           && SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2)
           && (!own_cas
               || (SET(CURLOPT_CAINFO, settings->ca_file)
                   && SET(CURLOPT_CAPATH, settings->ca_path)))
           && SET_TEXT(CURLOPT_SSLCERT, settings->client_cert)
           && SET_TEXT(CURLOPT_SSLKEY, settings->client_key);
}

/* What every request has in common, whatever the host application's environment says. */
static int set_transfer(CURL *curl, const consul_agent *agent, long timeout, body_buffer *body,
                        char *curl_text)
{
    const consul_settings *settings = agent->settings;
    long connect_timeout = (long)settings->connect_timeout;

    return SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_ERRORBUFFER, curl_text)
           && SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_PROXY, "")
           && SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1)
           && SET(CURLOPT_USERAGENT, "consul-provider") && SET(CURLOPT_FORBID_REUSE, 1L)
           && SET(CURLOPT_QUICK_EXIT, 1L) /* a resolver that hangs is not waited for */
           && SET(CURLOPT_TIMEOUT_MS, timeout)
           && SET(CURLOPT_CONNECTTIMEOUT_MS, connect_timeout < timeout ? connect_timeout : timeout)
           && SET(CURLOPT_WRITEFUNCTION, receive_body) && SET(CURLOPT_WRITEDATA, body)
           && SET(CURLOPT_OPENSOCKETFUNCTION, open_socket)
           && SET_TEXT(CURLOPT_UNIX_SOCKET_PATH, agent->address.socket_path)
           && SET_TEXT(CURLOPT_USERPWD, settings->http_auth) && set_tls(curl, settings);
}

typedef struct transfer {
    CURL *curl;
    CURLcode code;
} transfer;

static void *run_transfer(void *arg)
{
    transfer *t = arg;

    in_request = true;
    t->code = curl_easy_perform(t->curl);
    in_request = false;
    return NULL;
}

/*
 * Plain HTTP runs here. HTTPS runs in a thread that lives as long as the request: libcurl's OpenSSL
 * code empties the calling thread's error queue, marks and all, which belong to our caller, and it
 * writes to sockets in a way that raises SIGPIPE.
 */
static CURLcode perform(CURL *curl, bool https)
{
    transfer t = {.curl = curl, .code = CURLE_FAILED_INIT};
    pthread_t thread;
    sigset_t all, old;
    int error;

    if (!https) {
        run_transfer(&t);
        return t.code;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&thread, NULL, run_transfer, &t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error == 0)
        pthread_join(thread, NULL);
    return t.code;
}

static int judge(CURL *curl, CURLcode code, const char *curl_text, const body_buffer *body,
                 const char *source, consul_error *err)
{
    long status = 0;

    if (body->too_large)
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                                "%s: the answer is larger than %zu bytes", source,
                                CONSUL_ANSWER_MAX);
    if (code != CURLE_OK)
        return consul_error_set(
            err,
            code == CURLE_OPERATION_TIMEDOUT ? CONSUL_R_AGENT_TIMEOUT : CONSUL_R_AGENT_UNREACHABLE,
            "%s: %s", source, *curl_text != '\0' ? curl_text : curl_easy_strerror(code));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return consul_error_set(err, CONSUL_R_AGENT_REFUSED, "%s: HTTP status %ld: %.*s%s", source,
                                status, AGENT_TEXT_SHOWN, body->len == 0 ? "no text" : body->data,
                                status == 403 ? " (which ACL token was sent, and has it "
                                                "service:write on the service?)"
                                              : "");
    if (body->len == 0)
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID, "%s: the answer is empty",
                                source);
    return 1;
}

/* Not in OSSL_provider_init: it may call libcrypto, whose configuration is locked then. */
static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int64_t time_left(consul_deadline deadline, int64_t most)
{
    int64_t left = deadline == CONSUL_NO_DEADLINE ? most : deadline - consul_deadline_after(0);

    return left < most ? left : most;
}

/* "GET http://…", for messages; never holds a token. */
static void describe(const consul_agent *agent, const consul_request *request, CURLU *url,
                     char source[CONSUL_URI_MAX])
{
    char *text = NULL;

    curl_url_get(url, CURLUPART_URL, &text, 0);
    snprintf(source, CONSUL_URI_MAX, "%s %s%s%s", request->body == NULL ? "GET" : "POST",
             text == NULL ? agent->address.base : text,
             agent->address.socket_path != NULL  ? " at unix://"
             : agent->address.connect_to != NULL ? " at "
                                                 : "",
             agent->address.socket_path != NULL  ? agent->address.socket_path
             : agent->address.connect_to != NULL ? agent->address.connect_to + 2
                                                 : "");
    curl_free(text);
}

static int exchange(const consul_agent *agent, const consul_request *request, CURL *curl,
                    CURLU *url, struct curl_slist *headers, struct curl_slist *connect_to,
                    consul_answer *answer, consul_error *err)
{
    char curl_text[CURL_ERROR_SIZE] = "";
    body_buffer body = {0};
    int64_t timeout = time_left(request->deadline, agent->settings->request_timeout);
    int ok = 0;

    if (timeout <= 0)
        return consul_error_set(err, CONSUL_R_AGENT_TIMEOUT, "%s: no time was left for the request",
                                answer->source);
    if (!set_transfer(curl, agent, (long)timeout, &body, curl_text) || !SET(CURLOPT_CURLU, url)
        || !SET(CURLOPT_HTTPHEADER, headers) || !SET_TEXT(CURLOPT_CONNECT_TO, connect_to)
        || !SET_TEXT(CURLOPT_POSTFIELDS, request->body))
        consul_error_set(err, CONSUL_R_INTERNAL, "%s: libcurl refused an option", answer->source);
    else
        ok =
            judge(curl, perform(curl, agent->address.https), curl_text, &body, answer->source, err);
    if (ok) {
        answer->body = body.data;
        answer->len = body.len;
    } else {
        OPENSSL_clear_free(body.data, body.size);
    }
    return ok;
}

int consul_agent_request(const consul_agent *agent, const consul_request *request,
                         consul_answer *answer, consul_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CURL *curl = NULL;
    CURLU *url = make_url(agent, request);
    struct curl_slist *headers = NULL, *connect_to = NULL;
    int ok = 0;

    memset(answer, 0, sizeof(*answer));
    pthread_once(&once, init_curl);
    if (url == NULL || (curl = curl_easy_init()) == NULL
        || !append_header(&headers, "Content-Type: application/json")
        || (agent->address.connect_to != NULL
            && !append_header(&connect_to, agent->address.connect_to))) {
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a request to the agent");
        goto done;
    }
    describe(agent, request, url, answer->source);
    ok = append_token(agent, &headers, err)
         && exchange(agent, request, curl, url, headers, connect_to, answer, err);

done:
    curl_easy_cleanup(curl);
    curl_url_cleanup(url);
    curl_slist_free_all(connect_to);
    free_headers(headers);
    return ok;
}

void consul_answer_free(consul_answer *answer)
{
    OPENSSL_clear_free(answer->body, answer->len);
    answer->body = NULL;
    answer->len = 0;
}
