/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS server without any knowledge of Connect, small enough to run by the hundred. It has a context
 * for each of its files, which hold a certificate and its key. It chooses among them by SNI: the
 * name of `web.pem` is "web". A client that is let in reads "served".
 *
 * Arguments: a descriptor that listens, the number of threads that accept from it, files.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

typedef struct service {
    char *name;
    SSL_CTX *ctx;
} service;

static service *services;
static int count;
static int listener;

static int choose(SSL *ssl, int *alert, void *arg)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    int i;

    for (i = 0; name != NULL && i < count; i++) {
        if (strcmp(services[i].name, name) == 0) {
            SSL_set_SSL_CTX(ssl, services[i].ctx);
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return name == NULL ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int open_service(service *s, const char *file)
{
    const char *base = strrchr(file, '/');

    s->name = strdup(base == NULL ? file : base + 1);
    s->ctx = SSL_CTX_new(TLS_server_method());
    if (s->name == NULL || s->ctx == NULL || strrchr(s->name, '.') == NULL
        || SSL_CTX_use_certificate_chain_file(s->ctx, file) != 1
        || SSL_CTX_use_PrivateKey_file(s->ctx, file, SSL_FILETYPE_PEM) != 1)
        return 0;
    *strrchr(s->name, '.') = '\0';
    SSL_CTX_set_tlsext_servername_callback(s->ctx, choose);
    return 1;
}

static void *serve(void *arg)
{
    static const char answer[] = "served\n";
    struct timeval patience = {.tv_sec = 20};

    for (;;) {
        int fd = accept(listener, NULL, NULL);
        SSL *ssl = SSL_new(services[0].ctx);

        if (fd >= 0 && ssl != NULL && SSL_set_fd(ssl, fd) == 1
            && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0
            && SSL_accept(ssl) == 1) {
            SSL_write(ssl, answer, sizeof(answer) - 1);
            SSL_shutdown(ssl);
        }
        SSL_free(ssl);
        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int threads, i;

    if (argc < 4)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    listener = atoi(argv[1]);
    threads = atoi(argv[2]);
    count = argc - 3;
    services = calloc((size_t)count, sizeof(*services));
    for (i = 0; services != NULL && i < count; i++) {
        if (!open_service(&services[i], argv[3 + i])) {
            fprintf(stderr, "%s: no service\n", argv[3 + i]);
            ERR_print_errors_fp(stderr);
            return 1;
        }
    }
    for (i = 1; i < threads; i++) {
        if (pthread_create(&thread, NULL, serve, NULL) != 0)
            return 1;
    }
    serve(NULL);
    return 0;
}
