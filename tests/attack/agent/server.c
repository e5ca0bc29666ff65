/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include "answer.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#define WAIT_MS 200    /* the longest wait of a blocking query */
#define PATIENCE 10000 /* ms that a connection is held open for */
#define DRIP_MS 2      /* between two bytes */

static control *shared;
static right_answers rights;
static int listener, port;
static SSL_CTX *secure;        /* or NULL for HTTP */
static _Thread_local SSL *tls; /* of the connection of this thread, or NULL */

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

static void pause_ms(int ms)
{
    const struct timespec length = {.tv_nsec = ms * 1000000L};

    nanosleep(&length, NULL);
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent =
            tls != NULL ? SSL_write(tls, data, (int)len) : send(fd, data, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* Hold a connection open until the other end closes it. */
static void hold(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    char ignored[256];

    while (poll(&one, 1, PATIENCE) == 1 && recv(fd, ignored, sizeof(ignored), 0) > 0)
        ;
}

static void reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* Send a text again and again, in blocks, until the other end has had enough. */
static void send_for_ever(int fd, const char *text)
{
    size_t len = strlen(text), block = 1000 * len, at;
    char *data = malloc(block);

    must(data != NULL, "a block");
    for (at = 0; at < block; at += len)
        memcpy(data + at, text, len);
    while (send_all(fd, data, block))
        ;
    free(data);
}

/* Send an answer at the pace of the row. */
static void send_at_pace(int fd, const row *r, const bytes *answer, size_t head_len)
{
    enum pace pace = r->value[AXIS_PACE];
    size_t body_len = answer->len - head_len, some = answer->len, i;
    const char *rest = answer_rest(r);

    if (pace == PACE_HANG || pace == PACE_CLOSE || pace == PACE_RESET)
        some = 0;
    else if (pace == PACE_HANG_IN_HEAD || pace == PACE_CLOSE_IN_HEAD || pace == PACE_RESET_IN_HEAD)
        some = head_len / 2;
    else if (pace == PACE_HANG_IN_BODY || pace == PACE_CLOSE_IN_BODY || pace == PACE_RESET_IN_BODY)
        some = head_len + body_len / 2;
    if (pace == PACE_DRIP) {
        for (i = 0; i < some && i < 5000 && send_all(fd, answer->data + i, 1); i++)
            pause_ms(DRIP_MS);
    } else {
        send_all(fd, answer->data, some);
    }
    if (some == answer->len && rest != NULL)
        send_for_ever(fd, rest);
    if (pace == PACE_HANG || pace == PACE_HANG_IN_HEAD || pace == PACE_HANG_IN_BODY
        || pace == PACE_HANG_AT_END)
        hold(fd);
    if (pace == PACE_RESET || pace == PACE_RESET_IN_HEAD || pace == PACE_RESET_IN_BODY)
        reset(fd);
}

/* ---- requests ---- */

#define REQUEST_MAX 65536

typedef struct request {
    char text[REQUEST_MAX]; /* head and body */
    enum endpoint endpoint;
    bool is_known, waits;
} request;

static size_t body_missing(const char *text, size_t have)
{
    const char *end = strstr(text, "\r\n\r\n"), *line = strcasestr(text, "\r\ncontent-length:");
    size_t head = end == NULL ? 0 : (size_t)(end + 4 - text);
    size_t wanted = end == NULL
                        ? have + 1
                        : head + (line == NULL || line > end ? 0 : strtoul(line + 17, NULL, 10));

    return wanted > have ? wanted - have : 0;
}

static bool receive(int fd, request *q)
{
    static const char *const paths[] = {
        [OF_ROOTS] = "/v1/agent/connect/ca/roots",
        [OF_LEAF] = "/v1/agent/connect/ca/leaf/",
        [OF_AUTHORIZE] = "/v1/agent/connect/authorize",
        [OF_INTENTIONS] = "/v1/connect/intentions",
    };
    size_t have = 0, i;
    char *space;

    q->text[0] = '\0';
    do {
        size_t room = REQUEST_MAX - 1 - have;
        ssize_t got = tls != NULL ? SSL_read(tls, q->text + have, (int)room)
                                  : recv(fd, q->text + have, room, 0);

        if (got <= 0)
            return false;
        have += (size_t)got;
        q->text[have] = '\0';
    } while (body_missing(q->text, have) > 0);
    space = strchr(q->text, ' ');
    q->is_known = false;
    for (i = 0; space != NULL && i < 4; i++) {
        if (strncmp(space + 1, paths[i], strlen(paths[i])) == 0) {
            q->is_known = true;
            q->endpoint = (enum endpoint)i;
        }
    }
    if (space != NULL && strncmp(space + 1, "/elsewhere", 10) == 0)
        atomic_fetch_add(&shared->redirected, 1);
    q->waits = strstr(q->text, "index=") != NULL && strstr(q->text, "wait=1us") == NULL;
    return true;
}

static const char *right_answer(const request *q, bool must_fail)
{
    bool is_denied = strstr(q->text, "/svc/foe\"") != NULL
                     || (atomic_load(&shared->denied) && strstr(q->text, "/svc/friend\"") != NULL);

    switch (q->endpoint) {
    case OF_ROOTS:
        return rights.roots;
    case OF_LEAF:
        return rights.leaf;
    case OF_AUTHORIZE:
        return is_denied && !must_fail ? "{\"Authorized\": false, \"Reason\": \"denied\"}"
                                       : "{\"Authorized\": true, \"Reason\": \"allowed\"}";
    case OF_INTENTIONS:
        break;
    }
    return "{\"web\": [{\"SourceName\": \"friend\", \"DestinationName\": \"web\", \"Action\": "
           "\"allow\"}]}";
}

static bool is_login(const request *q)
{
    return strstr(q->text, " /v1/acl/login ") != NULL && rights.login != NULL;
}

static bool is_wrong_now(const request *q)
{
    int once = ANSWERS_WRONG_ONCE;

    if (!(shared->cuts_login ? is_login(q)
                             : q->is_known && ROW_IS(&shared->r, ENDPOINT, q->endpoint))
        || atomic_load(&shared->answers) == ANSWERS_RIGHT)
        return false;
    if (atomic_load(&shared->answers) == ANSWERS_WRONG_ONCE
        && !atomic_compare_exchange_strong(&shared->answers, &once, ANSWERS_RIGHT))
        return false;
    atomic_fetch_add(&shared->wrong, 1);
    return true;
}

static void answer(int fd, const request *q)
{
    static atomic_uint number = 10;
    row r = {0};
    char location[128] = "", cut[REQUEST_MAX];
    const char *right;
    bytes sent = {0};
    size_t head_len;
    bool wrong;

    if (!q->is_known && !is_login(q)) { /* the target of a redirect, say */
        answer_write_right("{\"Authorized\": true, \"Reason\": \"elsewhere\"}", &sent);
        send_all(fd, sent.data, sent.len);
        free(sent.data);
        return;
    }
    wrong = is_wrong_now(q);
    if (wrong)
        r = shared->r;
    r.value[AXIS_INDEX] = shared->r.value[AXIS_INDEX];
    if (q->waits && !wrong)
        pause_ms(WAIT_MS);
    if (r.value[AXIS_STATUS] >= STATUS_301 && r.value[AXIS_STATUS] <= STATUS_307)
        snprintf(location, sizeof(location), "Location: http://127.0.0.1:%d/elsewhere\r\n", port);
    right = is_login(q) ? rights.login : right_answer(q, wrong && answer_must_fail(&r));
    if (wrong)
        atomic_store(&shared->whole, (long)strlen(right));
    if (wrong && shared->cut > 0) {
        snprintf(cut, sizeof(cut), "%.*s", (int)shared->cut - 1, right);
        right = cut;
    }
    answer_write(&r, right, location, atomic_fetch_add(&number, 1), &sent, &head_len);
    send_at_pace(fd, &r, &sent, head_len);
    free(sent.data);
}

void server_speak_tls(SSL_CTX *ctx)
{
    signal(SIGPIPE, SIG_IGN);
    secure = ctx;
}

/* Return true once the connection can be used: where it speaks TLS, after the handshake. */
static bool begin(int fd)
{
    if (secure == NULL)
        return true;
    tls = SSL_new(secure);
    must(tls != NULL && SSL_set_fd(tls, fd) == 1, "an SSL");
    return SSL_accept(tls) == 1;
}

static void serve(int fd)
{
    request *q = malloc(sizeof(*q));

    must(q != NULL, "a request");
    if (!ROW_IS(&shared->r, PACE, PACE_UNREAD) || atomic_load(&shared->answers) == ANSWERS_RIGHT) {
        if (begin(fd) && receive(fd, q))
            answer(fd, q);
    } else {
        atomic_fetch_add(&shared->wrong, 1);
    }
    free(q);
    SSL_free(tls);
    tls = NULL;
    close(fd);
}

static void start_worker(void);

static atomic_int waiting; /* the number of workers that wait for a connection */

/*
 * Serve connections, one after the other. Another worker begins where no other one waits. A thread for each connection
 * would be thousands, for which the leak sanitizer makes room without a lock.
 */
static void *work(void *arg)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        if (atomic_fetch_sub(&waiting, 1) == 1)
            start_worker();
        serve(fd);
        atomic_fetch_add(&waiting, 1);
    }
    return NULL;
}

static void start_worker(void)
{
    pthread_attr_t detached;
    pthread_t thread;

    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, 256 << 10);
    atomic_fetch_add(&waiting, 1);
    must(pthread_create(&thread, &detached, work, NULL) == 0, "a thread");
    pthread_attr_destroy(&detached);
}

int server_listen(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);

    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0
             && listen(listener, 64) == 0
             && getsockname(listener, (struct sockaddr *)&address, &len) == 0,
         "a port");
    port = ntohs(address.sin_port);
    return port;
}

void server_start(control *c, const right_answers *right)
{
    shared = c;
    rights = *right;
    start_worker();
}
