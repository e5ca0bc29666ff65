/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request to consul-tls metrics --listen, to the server itself. The page goes out for GET /metrics alone.
 * ld(1), --wrap, puts functions of this file in place of the C library's. They have the server listen on a unix socket
 * without a name, which takes no port of the host.
 */
#include "fuzz.h"

#include "common/http.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAGE "consul_tls_page 1\n"
#define REQUEST_LONGEST 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t listens = PTHREAD_COND_INITIALIZER;
static struct sockaddr_un server;
static socklen_t server_len; /* in bytes, 0 before the server listens */

int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
int __real_bind(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len);
int __real_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog);

int __wrap_socket(int family, int type, int protocol)
{
    return __real_socket(AF_UNIX, type, protocol);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    const struct sockaddr any = {.sa_family = AF_UNIX};

    return __real_bind(fd, &any, sizeof(sa_family_t));
}

int __wrap_listen(int fd, int backlog)
{
    socklen_t len = sizeof(server);
    int result = __real_listen(fd, backlog);

    pthread_mutex_lock(&lock);
    REQUIRE(result == 0 && getsockname(fd, (struct sockaddr *)&server, &len) == 0);
    server_len = len;
    pthread_cond_signal(&listens);
    pthread_mutex_unlock(&lock);
    return result;
}

static int print_page(FILE *out, consul_error *err)
{
    return fputs(PAGE, out) >= 0;
}

static void *serve(void *arg)
{
    cli_http_serve("127.0.0.1:1", print_page, NULL);
    return NULL;
}

static int connect_to_server(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pthread_t thread;

    pthread_mutex_lock(&lock);
    if (server_len == 0)
        REQUIRE(pthread_create(&thread, NULL, serve, NULL) == 0 && pthread_detach(thread) == 0);
    while (server_len == 0)
        pthread_cond_wait(&listens, &lock);
    pthread_mutex_unlock(&lock);
    REQUIRE(fd >= 0 && connect(fd, (const struct sockaddr *)&server, server_len) == 0);
    return fd;
}

/* Read to the end, and return false for a connection that was reset. */
static bool read_all(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t got;

    while ((got = recv(fd, text + len, size - 1 - len, 0)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    return got == 0;
}

static void require_response(const char *response, const uint8_t *data, size_t size)
{
    static const char metrics[] = "GET /metrics";
    bool is_ours = size > sizeof(metrics) && memcmp(data, metrics, sizeof(metrics) - 1) == 0
                   && strchr(" ?", data[sizeof(metrics) - 1]) != NULL;
    const char *body = strstr(response, "\r\n\r\n"), *length = strstr(response, "Content-Length: ");

    REQUIRE(memmem(data, size, "\r\n\r\n", 4) != NULL); /* the whole head of a request */
    REQUIRE(body != NULL && length != NULL && length < body);
    REQUIRE(strtoul(length + strlen("Content-Length: "), NULL, 10) == strlen(body + 4));
    if (strncmp(response, "HTTP/1.1 200 OK\r\n", 17) == 0) {
        REQUIRE(is_ours && strcmp(body + 4, PAGE) == 0);
        return;
    }
    REQUIRE(!is_ours && body[4] == '\0');
    REQUIRE(strncmp(response, "HTTP/1.1 404 ", 13) == 0
            || strncmp(response, "HTTP/1.1 405 ", 13) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char response[4096];
    bool whole;
    int fd;

    if (size > REQUEST_LONGEST)
        return 0;
    fd = connect_to_server();
    REQUIRE(send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size);
    shutdown(fd, SHUT_WR);
    whole = read_all(fd, response, sizeof(response));
    close(fd);
    if (whole && *response != '\0')
        require_response(response, data, size);
    return 0;
}
