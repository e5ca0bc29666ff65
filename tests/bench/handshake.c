/*
 * Mutual TLS handshakes, as any application makes them: it knows nothing of the provider. What they
 * cost is measured with and without it, by tests/bench/bench.py.
 *
 *   handshake serve   CERT KEY CA VERSION CHAIN THREADS          prints its port, and serves until EOF
 *   handshake connect CERT KEY CA VERSION CHAIN THREADS COUNT PORT   prints seconds and failures
 *   handshake pair    CERT KEY CA VERSION CHAIN COUNT            both sides in memory, for callgrind
 *
 * VERSION is 1.2 or 1.3, CHAIN auto or none (SSL_MODE_NO_AUTO_CHAIN). Each connection carries one
 * byte in each direction.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
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
#include <openssl/ssl.h>

#define THREADS_MAX 256
#define BACKLOG 512

static void die(const char *what)
{
    fprintf(stderr, "handshake: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static SSL_CTX *make_ctx(char **files, const char *version, const char *chain, int is_server)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    int number = strcmp(version, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;

    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, number) != 1
        || SSL_CTX_set_max_proto_version(ctx, number) != 1
        || SSL_CTX_use_certificate_chain_file(ctx, files[0]) != 1
        || SSL_CTX_use_PrivateKey_file(ctx, files[1], SSL_FILETYPE_PEM) != 1
        || SSL_CTX_load_verify_file(ctx, files[2]) != 1)
        die("the context");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (is_server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"bench", 5);
    if (strcmp(chain, "none") == 0)
        SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    return ctx;
}

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

/* ---- serve ---- */

typedef struct server {
    SSL_CTX *ctx;
    int listener;
} server;

static void *serve(void *arg)
{
    const server *s = arg;
    char byte;

    for (;;) {
        int fd = accept(s->listener, NULL, NULL);
        SSL *ssl = SSL_new(s->ctx);

        if (fd < 0 || ssl == NULL)
            die("accept");
        no_delay(fd);
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1 && SSL_read(ssl, &byte, 1) == 1 && SSL_write(ssl, &byte, 1) == 1)
            SSL_shutdown(ssl);
        SSL_free(ssl);
        close(fd);
        ERR_clear_error();
    }
    return NULL;
}

static int run_server(SSL_CTX *ctx, int threads)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof(address);
    server s = {.ctx = ctx, .listener = socket(AF_INET, SOCK_STREAM, 0)};
    pthread_t thread;
    char byte;
    int i;

    if (bind(s.listener, (struct sockaddr *)&address, len) != 0 || listen(s.listener, BACKLOG) != 0
        || getsockname(s.listener, (struct sockaddr *)&address, &len) != 0)
        die("listen");
    for (i = 0; i < threads; i++) {
        if (pthread_create(&thread, NULL, serve, &s) != 0)
            die("a thread");
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    return 0;
}

/* ---- connect ---- */

typedef struct client {
    SSL_CTX *ctx;
    int port;
    atomic_long left;
    atomic_long failed;
} client;

static int connect_once(const client *c)
{
    struct sockaddr_in address = loopback(c->port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), ok;
    SSL *ssl = SSL_new(c->ctx);
    char byte = 'x';

    if (fd < 0 || ssl == NULL || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    no_delay(fd);
    SSL_set_fd(ssl, fd);
    ok = SSL_connect(ssl) == 1 && SSL_write(ssl, &byte, 1) == 1 && SSL_read(ssl, &byte, 1) == 1;
    SSL_free(ssl);
    close(fd);
    ERR_clear_error();
    return ok;
}

static void *run_client(void *arg)
{
    client *c = arg;

    while (atomic_fetch_sub(&c->left, 1) > 0) {
        if (!connect_once(c))
            atomic_fetch_add(&c->failed, 1);
    }
    return NULL;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run_clients(SSL_CTX *ctx, int threads, long count, int port)
{
    client c = {.ctx = ctx, .port = port};
    pthread_t thread[THREADS_MAX];
    double began = now();
    int i;

    atomic_init(&c.left, count);
    atomic_init(&c.failed, 0);
    for (i = 0; i < threads; i++) {
        if (pthread_create(&thread[i], NULL, run_client, &c) != 0)
            die("a thread");
    }
    for (i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    printf("%.6f %ld\n", now() - began, atomic_load(&c.failed));
    return 0;
}

/* ---- pair ---- */

static void pair_once(SSL_CTX *client_ctx, SSL_CTX *server_ctx)
{
    SSL *c = SSL_new(client_ctx), *s = SSL_new(server_ctx);
    BIO *one = NULL, *other = NULL;
    char byte = 'x';
    int i;

    if (c == NULL || s == NULL || BIO_new_bio_pair(&one, 0, &other, 0) != 1)
        die("a pair");
    SSL_set_bio(c, one, one);
    SSL_set_bio(s, other, other);
    SSL_set_connect_state(c);
    SSL_set_accept_state(s);
    for (i = 0; i < 20 && !(SSL_is_init_finished(c) && SSL_is_init_finished(s)); i++) {
        SSL_do_handshake(c);
        SSL_do_handshake(s);
    }
    if (SSL_write(c, &byte, 1) != 1 || SSL_read(s, &byte, 1) != 1 || SSL_write(s, &byte, 1) != 1
        || SSL_read(c, &byte, 1) != 1)
        die("no connection");
    SSL_free(c);
    SSL_free(s);
    ERR_clear_error();
}

int main(int argc, char **argv)
{
    int is_server = argc == 8 && strcmp(argv[1], "serve") == 0;
    SSL_CTX *ctx;
    long i;

    signal(SIGPIPE, SIG_IGN);
    if (argc < 8)
        die("usage: see the head of handshake.c");
    ctx = make_ctx(argv + 2, argv[5], argv[6], is_server);
    if (is_server)
        return run_server(ctx, atoi(argv[7]));
    if (strcmp(argv[1], "connect") == 0 && argc == 10 && atoi(argv[7]) <= THREADS_MAX)
        return run_clients(ctx, atoi(argv[7]), atol(argv[8]), atoi(argv[9]));
    if (strcmp(argv[1], "pair") != 0)
        die("usage: see the head of handshake.c");
    for (i = atol(argv[7]); i > 0; i--)
        pair_once(ctx, ctx);
    SSL_CTX_free(ctx);
    return 0;
}
