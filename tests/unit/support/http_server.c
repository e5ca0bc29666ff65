/* SPDX-License-Identifier: Apache-2.0 */
#include "http_server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct http_server {
    int listener, port;
    atomic_int requests;
    http_handler_fn *handler;
    void *arg;
    pthread_t thread;
    http_request request; /* the current one */
};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

/* Read more into a buffer of `size` bytes. A NUL follows the `have` bytes that have arrived so far. */
static bool receive_some(int fd, char *buffer, size_t size, size_t *have)
{
    ssize_t got = recv(fd, buffer + *have, size - 1 - *have, 0);

    if (got <= 0)
        return false;
    *have += (size_t)got;
    buffer[*have] = '\0';
    return true;
}

static size_t content_length(const char *head)
{
    const char *line = strcasestr(head, "\r\ncontent-length:");

    return line == NULL ? 0 : strtoul(line + 17, NULL, 10);
}

static bool receive_request(int fd, http_request *request)
{
    size_t have = 0, body_len;
    char *end;

    memset(request, 0, sizeof(*request));
    while ((end = strstr(request->head, "\r\n\r\n")) == NULL) {
        if (!receive_some(fd, request->head, sizeof(request->head), &have))
            return false;
    }
    body_len = have - (size_t)(end + 4 - request->head);
    must(body_len < sizeof(request->body), "request body");
    memcpy(request->body, end + 4, body_len);
    end[2] = '\0';
    must(content_length(request->head) < sizeof(request->body), "request body");
    while (body_len < content_length(request->head)) {
        if (!receive_some(fd, request->body, sizeof(request->body), &body_len))
            return false;
    }
    return sscanf(request->head, "%15s %8191s", request->method, request->target) == 2;
}

/* Send everything, unless the client is gone: that is its right. */
static void send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        data += sent;
        len -= (size_t)sent;
    }
}

static void wait_for_close(int fd)
{
    char ignored[256];

    while (recv(fd, ignored, sizeof(ignored), 0) > 0)
        ;
}

static void send_reply(int fd, const http_reply *reply)
{
    char head[4096];
    size_t len = reply->body == NULL ? 0 : reply->len != 0 ? reply->len : strlen(reply->body);
    bool half = reply->manner == HTTP_STALL || reply->manner == HTTP_CUT;
    int head_len =
        snprintf(head, sizeof(head),
                 "HTTP/1.1 %d Scripted\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n",
                 reply->status, len, reply->headers == NULL ? "" : reply->headers);

    if (reply->manner == HTTP_CLOSE)
        return;
    if (reply->manner != HTTP_HANG) {
        if (reply->manner != HTTP_RAW && reply->manner != HTTP_RAW_RESET)
            send_all(fd, head, (size_t)head_len);
        send_all(fd, reply->body, half ? len / 2 : len);
    }
    if (reply->manner == HTTP_HANG || reply->manner == HTTP_STALL)
        wait_for_close(fd);
    if (reply->manner == HTTP_RAW_RESET)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
                   sizeof(struct linger));
}

static void *serve(void *arg)
{
    http_server *server = arg;
    int fd;

    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        http_reply reply = {.status = 200};

        if (receive_request(fd, &server->request)) {
            atomic_fetch_add(&server->requests, 1);
            server->handler(&server->request, &reply, server->arg);
            send_reply(fd, &reply);
        }
        close(fd);
    }
    return NULL;
}

static int listen_on_port(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0
             && getsockname(fd, (struct sockaddr *)&address, &len) == 0,
         "a port");
    *port = ntohs(address.sin_port);
    return fd;
}

static int listen_on_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    must(strlen(path) < sizeof(address.sun_path), "a socket path");
    strcpy(address.sun_path, path);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "a socket");
    return fd;
}

http_server *http_server_start(const char *socket_path, http_handler_fn *handler, void *arg)
{
    http_server *server = calloc(1, sizeof(*server));

    must(server != NULL, "a server");
    server->handler = handler;
    server->arg = arg;
    server->listener =
        socket_path != NULL ? listen_on_path(socket_path) : listen_on_port(&server->port);
    must(listen(server->listener, 64) == 0, "listen");
    must(pthread_create(&server->thread, NULL, serve, server) == 0, "a thread");
    return server;
}

void http_server_stop(http_server *server)
{
    shutdown(server->listener, SHUT_RDWR); /* ends the accept */
    pthread_join(server->thread, NULL);
    close(server->listener);
    free(server);
}

int http_server_port(const http_server *server)
{
    return server->port;
}

int http_server_requests(const http_server *server)
{
    return atomic_load(&server->requests);
}
