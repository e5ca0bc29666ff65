/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http.h"

#include "base/clock.h"
#include "common/arguments.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 2048 /* bytes of the head of a request */
#define CONNECTIONS 16
#define LASTS_MS 5000    /* from the begin of a connection to its end */
#define PAGE_AGE_MS 1000 /* of a page that is given out again */

typedef struct connection {
    int fd;          /* -1 for a free place */
    uint64_t number; /* of earlier connections */
    consul_deadline end;
    char request[REQUEST_MAX];
    size_t got;
    char *response; /* NULL before the whole request */
    size_t len, sent;
} connection;

typedef struct server {
    int listener;
    cli_page_fn *make;
    char *page; /* NULL where it could not be made */
    size_t len;
    consul_deadline fresh_until;
    uint64_t count; /* of connections so far */
    connection all[CONNECTIONS];
} server;

static void end(connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c->response);
    memset(c, 0, sizeof(*c));
    c->fd = -1;
}

/* ---- the page and the response ---- */

/* Make the page, unless it is young. */
static void make_page(server *s)
{
    consul_error err = {0};
    FILE *out;
    bool ok;

    if (s->page != NULL && consul_now_ms() < s->fresh_until)
        return;
    free(s->page);
    s->page = NULL;
    if ((out = open_memstream(&s->page, &s->len)) == NULL)
        return;
    ok = s->make(out, &err);
    if (fclose(out) != 0 || !ok) {
        free(s->page);
        s->page = NULL;
    }
    s->fresh_until = consul_deadline_after(PAGE_AGE_MS);
}

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

/* Return the status of the response to a request, and the page for the one that is allowed. */
static const char *answer(server *s, const char *request, const char **body, size_t *len)
{
    static const char found[] = "GET /metrics";
    char after = request[sizeof(found) - 1];

    *body = "";
    *len = 0;
    if (!begins_with(request, "GET "))
        return "405 Method Not Allowed\r\nAllow: GET";
    if (!begins_with(request, found) || (after != ' ' && after != '?'))
        return "404 Not Found";
    make_page(s);
    if (s->page == NULL)
        return "500 Internal Server Error";
    *body = s->page;
    *len = s->len;
    return "200 OK";
}

/* Write the response to a whole request. Return false without memory. */
static bool respond(server *s, connection *c)
{
    const char *body, *status = answer(s, c->request, &body, &c->len);
    size_t size = c->len + 512;
    int head;

    if ((c->response = malloc(size)) == NULL)
        return false;
    head = snprintf(c->response, size,
                    "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                    "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                    status, c->len);
    memcpy(c->response + head, body, c->len);
    c->len += (size_t)head;
    return true;
}

/* ---- connections ---- */

/* Read a part of the request. Return false where the connection is to end. */
static bool take(server *s, connection *c)
{
    ssize_t got = recv(c->fd, c->request + c->got, REQUEST_MAX - 1 - c->got, 0);

    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (got == 0)
        return false;
    c->got += (size_t)got;
    c->request[c->got] = '\0';
    if (strlen(c->request) != c->got) /* a NUL ends every text */
        return false;
    if (strstr(c->request, "\r\n\r\n") != NULL)
        return respond(s, c);
    return c->got < REQUEST_MAX - 1;
}

/* Send a part of the response. Return false where the connection is to end. */
static bool give(connection *c)
{
    ssize_t sent = send(c->fd, c->response + c->sent, c->len - c->sent, MSG_NOSIGNAL);

    if (sent < 0)
        return errno == EAGAIN || errno == EINTR;
    c->sent += (size_t)sent;
    return c->sent < c->len;
}

/* Take a new connection into a free place, or into the place of the oldest one. */
static void admit(server *s)
{
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    connection *place = &s->all[0];
    size_t i;

    if (fd < 0)
        return;
    for (i = 1; i < CONNECTIONS && place->fd >= 0; i++) {
        if (s->all[i].fd < 0 || s->all[i].number < place->number)
            place = &s->all[i];
    }
    end(place);
    place->fd = fd;
    place->number = s->count++;
    place->end = consul_deadline_after(LASTS_MS);
}

/* Wait until something can be done, and do it. */
static void work(server *s)
{
    struct pollfd ready[CONNECTIONS + 1];
    int64_t now = consul_now_ms(), wait = LASTS_MS;
    size_t i;

    for (i = 0; i < CONNECTIONS; i++) {
        connection *c = &s->all[i];

        if (c->fd >= 0 && c->end <= now)
            end(c);
        if (c->fd >= 0 && c->end - now < wait)
            wait = c->end - now;
        ready[i] = (struct pollfd){.fd = c->fd, .events = c->response == NULL ? POLLIN : POLLOUT};
    }
    ready[i] = (struct pollfd){.fd = s->listener, .events = POLLIN};
    if (poll(ready, CONNECTIONS + 1, (int)wait) <= 0)
        return;
    for (i = 0; i < CONNECTIONS; i++) {
        connection *c = &s->all[i];

        if (ready[i].revents != 0 && !(c->response == NULL ? take(s, c) : give(c)))
            end(c);
    }
    if (ready[i].revents != 0)
        admit(s);
}

/* ---- the address ---- */

static int listen_at(const char *address, consul_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_PASSIVE};
    struct addrinfo *found = NULL;
    char host[CLI_HOST_MAX] = "127.0.0.1";
    const char *port = address;
    int fd = -1, one = 1;

    if ((cli_number(address, 65535) == 0 && (port = cli_split_address(address, host)) == NULL)
        || cli_number(port, 65535) == 0 || getaddrinfo(host, port, &hints, &found) != 0) {
        consul_error_set(err, CONSUL_R_SETTING_INVALID,
                         "--listen %s: it is no address and port: write 127.0.0.1:PORT", address);
        return -1;
    }
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0
        || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, CONNECTIONS) != 0) {
        consul_error_set(err, CONSUL_R_SETTING_INVALID,
                         "--listen %s: the command cannot listen there: %s", address,
                         strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

int cli_http_serve(const char *address, cli_page_fn *page, consul_error *err)
{
    server s = {.make = page};
    size_t i;

    if ((s.listener = listen_at(address, err)) < 0)
        return 0;
    for (i = 0; i < CONNECTIONS; i++)
        s.all[i].fd = -1;
    for (;;)
        work(&s);
}
