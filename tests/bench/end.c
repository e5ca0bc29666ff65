/* SPDX-License-Identifier: Apache-2.0 */
#include "end.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#define BACKLOG 1024
#define PORTS_PAUSE_US 1000

void die(const char *what)
{
    fprintf(stderr, "peer: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double read_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double cpu_used(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

/* ---- contexts ---- */

static bool is_there(const char *file)
{
    return strcmp(file, "-") != 0;
}

static void set_version(SSL_CTX *ctx, const char *version)
{
    int number = strcmp(version, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;

    if (strcmp(version, "any") != 0
        && (SSL_CTX_set_min_proto_version(ctx, number) != 1
            || SSL_CTX_set_max_proto_version(ctx, number) != 1))
        die("the version");
}

SSL_CTX *make_ctx(const way *w, bool is_server)
{
    SSL_CTX *ctx;

    if (!is_there(w->certificate) && !is_there(w->ca))
        return NULL;
    if ((ctx = SSL_CTX_new(TLS_method())) == NULL)
        die("a context");
    set_version(ctx, w->version);
    if (is_there(w->certificate)
        && (SSL_CTX_use_certificate_chain_file(ctx, w->certificate) != 1
            || SSL_CTX_use_PrivateKey_file(ctx, w->key, SSL_FILETYPE_PEM) != 1))
        die("the certificate");
    if (is_there(w->ca)) {
        if (SSL_CTX_load_verify_file(ctx, w->ca) != 1)
            die("the CA");
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (is_server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                           NULL);
    }
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"bench", 5);
    if (strcmp(w->chain, "none") == 0)
        SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    return ctx;
}

/* ---- sockets ---- */

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void no_delay(int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int listen_anywhere(int *port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, BACKLOG) != 0
        || getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        die("listen");
    *port = ntohs(address.sin_port);
    return fd;
}

/* ---- ends ---- */

static bool end_begin(end *e, SSL_CTX *ctx, int (*handshake)(SSL *))
{
    no_delay(e->fd);
    if (ctx == NULL)
        return true;
    if ((e->ssl = SSL_new(ctx)) == NULL || SSL_set_fd(e->ssl, e->fd) != 1)
        die("an SSL");
    if (handshake(e->ssl) == 1)
        return true;
    end_close(e);
    return false;
}

bool end_accept(end *e, SSL_CTX *ctx, int listener)
{
    *e = (end){.fd = accept(listener, NULL, NULL)};
    if (e->fd < 0)
        die("accept");
    return end_begin(e, ctx, SSL_accept);
}

bool end_connect(end *e, SSL_CTX *ctx, int port)
{
    struct sockaddr_in address = loopback(port);

    *e = (end){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    while (connect(e->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        if (errno != EADDRNOTAVAIL) /* all ports are in TIME-WAIT, which lasts for a second here */
            die("connect");
        usleep(PORTS_PAUSE_US);
    }
    return end_begin(e, ctx, SSL_connect);
}

void end_close(end *e)
{
    SSL_free(e->ssl);
    close(e->fd);
    ERR_clear_error();
}

int end_read(const end *e, void *data, int size)
{
    ssize_t got =
        e->ssl == NULL ? recv(e->fd, data, (size_t)size, 0) : SSL_read(e->ssl, data, size);

    return got > 0 ? (int)got : 0;
}

bool end_write(const end *e, const void *data, int size)
{
    if (e->ssl != NULL)
        return SSL_write(e->ssl, data, size) == size;
    return send(e->fd, data, (size_t)size, MSG_NOSIGNAL) == size;
}

bool end_ask(const end *e)
{
    char message[MESSAGE] = "hello";
    int got = 0, more;

    if (!end_write(e, message, MESSAGE))
        return false;
    while (got < MESSAGE && (more = end_read(e, message, MESSAGE - got)) > 0)
        got += more;
    return got == MESSAGE;
}
