/* SPDX-License-Identifier: Apache-2.0 */
#include "live_agent.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include <jansson.h>

#include "mint.h"
#include "store.h"

#define CONNECTIONS_MAX 1024
#define REQUESTS_MAX 65536
#define PATIENCE 60 /* seconds, before a test fails for something that does not come */

static const char *const services[] = {"web", "friend", "foe"};

enum { SERVICES = sizeof(services) / sizeof(services[0]) };

struct live_agent {
    int listener;
    char address[64];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock: */
    bool stopping;
    minted ca[2]; /* the current one first */
    char *roots, *leaves[SERVICES];
    enum live_manner manners[LIVE_WHATS];
    uint64_t indexes[LIVE_WHATS];
    int counts[LIVE_WHATS], opened, open;
    int fds[CONNECTIONS_MAX]; /* of open connections; -1 where closed */
    live_request *requests;
    int request_count;
};

typedef struct connection {
    live_agent *agent;
    int fd, number;
    size_t place; /* among the agent's */
    char head[16384];
} connection;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "live agent: %s: %s\n", what, strerror(errno));
    abort();
}

static struct timespec moment_after(int64_t milliseconds)
{
    struct timespec when;

    clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_sec += milliseconds / 1000;
    when.tv_nsec += milliseconds % 1000 * 1000000;
    if (when.tv_nsec >= 1000000000) {
        when.tv_nsec -= 1000000000;
        when.tv_sec++;
    }
    return when;
}

/* ---- its contents; under the lock ---- */

static char *roots_body(const live_agent *agent)
{
    json_t *list = json_array(), *json;
    char *body;
    size_t i;

    for (i = 0; i < 2 && agent->ca[i].cert != NULL; i++) {
        char *pem = mint_cert_pem(agent->ca[i].cert);

        json_array_append_new(list, json_pack("{s:s}", "RootCert", pem));
        free(pem);
    }
    json = json_pack("{s:s, s:o}", "TrustDomain", LIVE_TD, "Roots", list);
    body = json_dumps(json, 0);
    json_decref(json);
    return body;
}

static char *leaf_body(const live_agent *agent, const char *service)
{
    minted leaf = mint_leaf(&agent->ca[0], LIVE_TD, service);
    char *cert = mint_cert_pem(leaf.cert), *key = mint_key_pem(leaf.key), *body;
    json_t *json = json_pack("{s:s, s:s}", "CertPEM", cert, "PrivateKeyPEM", key);

    body = json_dumps(json, 0);
    json_decref(json);
    free(cert);
    free(key);
    minted_free(&leaf);
    return body;
}

static void issue(live_agent *agent)
{
    size_t i;

    agent->ca[0] = mint_ca(LIVE_TD);
    free(agent->roots);
    agent->roots = roots_body(agent);
    for (i = 0; i < SERVICES; i++) {
        free(agent->leaves[i]);
        agent->leaves[i] = leaf_body(agent, services[i]);
    }
    agent->indexes[LIVE_ROOTS] += 10;
    agent->indexes[LIVE_LEAF] += 10;
}

static const char *leaf_of(const live_agent *agent, const char *target)
{
    size_t i;

    for (i = 0; i < SERVICES; i++) {
        size_t len = strlen(services[i]);

        if (strncmp(target, services[i], len) == 0 && (target[len] == '?' || target[len] == '\0'))
            return agent->leaves[i];
    }
    return NULL;
}

/* ---- connections ---- */

/* False where the client has gone. Any number of bytes beyond the request are not expected. */
static bool receive(connection *c)
{
    size_t have = 0, want = sizeof(c->head);
    char *end, *length;

    while (have < want) {
        ssize_t got = recv(c->fd, c->head + have, sizeof(c->head) - 1 - have, 0);

        if (got <= 0)
            return false;
        have += (size_t)got;
        c->head[have] = '\0';
        if ((end = strstr(c->head, "\r\n\r\n")) != NULL) {
            length = strcasestr(c->head, "\r\ncontent-length:");
            want = (size_t)(end + 4 - c->head)
                   + (length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0);
            must(want < sizeof(c->head), "the length of a request");
        }
    }
    return true;
}

static void send_answer(const connection *c, int status, const char *body, uint64_t index)
{
    char head[256], line[64] = "";
    size_t len = strlen(body);

    if (index != LIVE_NO_INDEX)
        snprintf(line, sizeof(line), "X-Consul-Index: %llu\r\n", (unsigned long long)index);
    snprintf(head, sizeof(head), "HTTP/1.1 %d Scripted\r\nContent-Length: %zu\r\n%s\r\n", status,
             len, line);
    if (send(c->fd, head, strlen(head), MSG_NOSIGNAL | MSG_MORE) > 0)
        send(c->fd, body, len, MSG_NOSIGNAL);
}

static uint64_t parameter(const char *target, const char *name)
{
    const char *value = strstr(target, name);

    return value == NULL ? 0 : strtoull(value + strlen(name), NULL, 10);
}

/* Wait as the request asks, as long as there is reason to. With the lock held. */
static void wait_as_asked(live_agent *agent, const live_request *request)
{
    int64_t wait = request->index == 0 ? 0 : request->wait;
    struct timespec end = moment_after(wait), late = moment_after(wait + wait / 16);
    int result = 0;

    while (!agent->stopping) {
        enum live_manner manner = agent->manners[request->what];

        if (manner == LIVE_HANG || (manner == LIVE_DEAF && request->index != 0)) {
            pthread_cond_wait(&agent->changed, &agent->lock);
            continue;
        }
        if ((manner != LIVE_ANSWER && manner != LIVE_LATE)
            || agent->indexes[request->what] != request->index || result == ETIMEDOUT)
            break;
        result = pthread_cond_timedwait(&agent->changed, &agent->lock,
                                        manner == LIVE_LATE ? &late : &end);
    }
}

static bool is_allowed(const char *body)
{
    return strstr(body, "/svc/foe\"") == NULL;
}

/* Answer a request from a copy. The lock is held before and after, and not while sending. */
static void answer(connection *c, const live_request *request, const char *target)
{
    live_agent *agent = c->agent;
    enum live_manner manner = agent->manners[request->what];
    const char *body = request->what == LIVE_ROOTS  ? agent->roots
                       : request->what == LIVE_LEAF ? leaf_of(agent, target + 26)
                       : is_allowed(c->head)        ? "{\"Authorized\": true, \"Reason\": \"yes\"}"
                                                    : "{\"Authorized\": false, \"Reason\": \"no\"}";
    uint64_t index =
        request->what == LIVE_AUTHORIZE ? LIVE_NO_INDEX : agent->indexes[request->what];
    int status = manner == LIVE_CROWDED ? 429 : manner == LIVE_FAIL || body == NULL ? 500 : 200;
    char *copy = strdup(status == 200   ? body
                        : status == 429 ? "Your IP is issuing too many concurrent connections, "
                                          "please rate limit your calls\n"
                                        : "No cluster leader");

    must(copy != NULL, "memory");
    if (manner == LIVE_PANIC && request->index != 0) {
        shutdown(c->fd, SHUT_RDWR);
        free(copy);
        return;
    }
    if (manner == LIVE_WAVER && agent->counts[request->what] % 2 == 0)
        index--;
    pthread_mutex_unlock(&agent->lock);
    send_answer(c, status, copy, index);
    pthread_mutex_lock(&agent->lock);
    free(copy);
}

static void handle(connection *c)
{
    live_agent *agent = c->agent;
    live_request request = {.connection = c->number, .at = consul_now_ms()};
    char target[1024] = "";

    sscanf(c->head, "%*s %1023s", target);
    request.what = strncmp(target, "/v1/agent/connect/ca/roots", 26) == 0   ? LIVE_ROOTS
                   : strncmp(target, "/v1/agent/connect/ca/leaf/", 26) == 0 ? LIVE_LEAF
                                                                            : LIVE_AUTHORIZE;
    request.index = parameter(target, "index=");
    request.wait = (int64_t)parameter(target, "wait=");
    pthread_mutex_lock(&agent->lock);
    if (agent->request_count < REQUESTS_MAX)
        agent->requests[agent->request_count++] = request;
    agent->counts[request.what]++;
    pthread_cond_broadcast(&agent->changed);
    wait_as_asked(agent, &request);
    if (!agent->stopping)
        answer(c, &request, target);
    pthread_mutex_unlock(&agent->lock);
}

static void *serve(void *arg)
{
    connection *c = arg;
    live_agent *agent = c->agent;
    bool stopping = false;

    while (!stopping && receive(c)) {
        handle(c);
        pthread_mutex_lock(&agent->lock);
        stopping = agent->stopping;
        pthread_mutex_unlock(&agent->lock);
    }
    pthread_mutex_lock(&agent->lock);
    agent->fds[c->place] = -1;
    close(c->fd);
    free(c);
    agent->open--;
    pthread_cond_broadcast(&agent->changed);
    pthread_mutex_unlock(&agent->lock);
    return NULL;
}

static void begin(live_agent *agent, int fd)
{
    connection *c = calloc(1, sizeof(*c));
    pthread_t thread;

    must(c != NULL, "memory");
    c->agent = agent;
    c->fd = fd;
    pthread_mutex_lock(&agent->lock);
    c->number = agent->opened++;
    while (c->place < CONNECTIONS_MAX && agent->fds[c->place] >= 0)
        c->place++;
    must(c->place < CONNECTIONS_MAX, "a place for a connection");
    agent->fds[c->place] = fd;
    agent->open++;
    pthread_cond_broadcast(&agent->changed);
    pthread_mutex_unlock(&agent->lock);
    must(pthread_create(&thread, NULL, serve, c) == 0, "a thread");
    pthread_detach(thread);
}

static void *accept_all(void *arg)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    live_agent *agent = arg;
    int fd;

    /* A test may leave its process, which is the agent's, without a descriptor for a time. */
    while ((fd = accept4(agent->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EMFILE) {
        if (fd >= 0)
            begin(agent, fd);
        else
            nanosleep(&pause, NULL);
    }
    return NULL;
}

/* ---- for the tests ---- */

live_agent *live_agent_start(void)
{
    live_agent *agent = calloc(1, sizeof(*agent));
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    pthread_condattr_t monotonic;
    size_t i;

    must(agent != NULL, "memory");
    agent->requests = calloc(REQUESTS_MAX, sizeof(*agent->requests));
    must(agent->requests != NULL, "memory");
    for (i = 0; i < CONNECTIONS_MAX; i++)
        agent->fds[i] = -1;
    pthread_mutex_init(&agent->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&agent->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    agent->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(agent->listener >= 0
             && bind(agent->listener, (struct sockaddr *)&address, sizeof(address)) == 0
             && getsockname(agent->listener, (struct sockaddr *)&address, &len) == 0
             && listen(agent->listener, 256) == 0,
         "a port");
    snprintf(agent->address, sizeof(agent->address), "127.0.0.1:%d", ntohs(address.sin_port));
    must(pthread_create(&agent->thread, NULL, accept_all, agent) == 0, "a thread");
    return agent;
}

void live_agent_issue(live_agent *agent)
{
    pthread_mutex_lock(&agent->lock);
    issue(agent);
    pthread_mutex_unlock(&agent->lock);
}

const minted *live_agent_ca(const live_agent *agent)
{
    return &agent->ca[0];
}

void live_agent_rotate(live_agent *agent)
{
    pthread_mutex_lock(&agent->lock);
    minted_free(&agent->ca[1]);
    agent->ca[1] = agent->ca[0];
    issue(agent);
    pthread_cond_broadcast(&agent->changed);
    pthread_mutex_unlock(&agent->lock);
}

void live_agent_list_unusable(live_agent *agent)
{
    pthread_mutex_lock(&agent->lock);
    minted_free(&agent->ca[1]);
    agent->ca[1] = mint_unusable_ca(LIVE_TD);
    free(agent->roots);
    agent->roots = roots_body(agent);
    agent->indexes[LIVE_ROOTS] += 10;
    pthread_cond_broadcast(&agent->changed);
    pthread_mutex_unlock(&agent->lock);
}

void live_agent_stop(live_agent *agent)
{
    size_t i;

    shutdown(agent->listener, SHUT_RDWR); /* ends the accept */
    pthread_join(agent->thread, NULL);
    close(agent->listener);
    pthread_mutex_lock(&agent->lock);
    agent->stopping = true;
    for (i = 0; i < CONNECTIONS_MAX; i++) {
        if (agent->fds[i] >= 0)
            shutdown(agent->fds[i], SHUT_RDWR);
    }
    pthread_cond_broadcast(&agent->changed);
    while (agent->open > 0)
        pthread_cond_wait(&agent->changed, &agent->lock);
    pthread_mutex_unlock(&agent->lock);
    minted_free(&agent->ca[0]);
    minted_free(&agent->ca[1]);
    free(agent->roots);
    for (i = 0; i < SERVICES; i++)
        free(agent->leaves[i]);
    free(agent->requests);
    pthread_cond_destroy(&agent->changed);
    pthread_mutex_destroy(&agent->lock);
    free(agent);
}

const char *live_agent_address(const live_agent *agent)
{
    return agent->address;
}

void live_agent_behave(live_agent *agent, enum live_what what, enum live_manner manner)
{
    pthread_mutex_lock(&agent->lock);
    agent->manners[what] = manner;
    pthread_cond_broadcast(&agent->changed);
    pthread_mutex_unlock(&agent->lock);
}

void live_agent_set_index(live_agent *agent, enum live_what what, uint64_t index)
{
    pthread_mutex_lock(&agent->lock);
    agent->indexes[what] = index;
    pthread_cond_broadcast(&agent->changed);
    pthread_mutex_unlock(&agent->lock);
}

static const live_request *find(const live_agent *agent, enum live_what what, int number)
{
    int i;

    for (i = 0; i < agent->request_count; i++) {
        if (agent->requests[i].what == what && number-- == 0)
            return &agent->requests[i];
    }
    return NULL;
}

static void wait_for_change(live_agent *agent, const struct timespec *end, const char *what)
{
    errno = pthread_cond_timedwait(&agent->changed, &agent->lock, end);
    must(errno == 0, what);
}

live_request live_agent_request(live_agent *agent, enum live_what what, int number)
{
    struct timespec end = moment_after(PATIENCE * 1000);
    const live_request *found;
    live_request request;

    pthread_mutex_lock(&agent->lock);
    while ((found = find(agent, what, number)) == NULL)
        wait_for_change(agent, &end, "a request that does not come");
    request = *found;
    pthread_mutex_unlock(&agent->lock);
    return request;
}

int live_agent_requests(live_agent *agent, enum live_what what)
{
    int count;

    pthread_mutex_lock(&agent->lock);
    count = agent->counts[what];
    pthread_mutex_unlock(&agent->lock);
    return count;
}

int live_agent_opened(live_agent *agent)
{
    int opened;

    pthread_mutex_lock(&agent->lock);
    opened = agent->opened;
    pthread_mutex_unlock(&agent->lock);
    return opened;
}

void live_agent_wait_for_open(live_agent *agent, int count)
{
    struct timespec end = moment_after(PATIENCE * 1000);

    pthread_mutex_lock(&agent->lock);
    while (agent->open != count)
        wait_for_change(agent, &end, "a number of connections that is not reached");
    pthread_mutex_unlock(&agent->lock);
}
