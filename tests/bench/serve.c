/* SPDX-License-Identifier: Apache-2.0 */
/* A server with a pool of threads, each of which takes a connection and echoes until it is closed. */
#include "end.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define STACK (256 * 1024)

typedef struct server {
    SSL_CTX *ctx;
    int listener;
} server;

static void *serve(void *arg)
{
    const server *s = arg;
    char data[MESSAGE];
    end e;
    int got;

    for (;;) {
        if (!end_accept(&e, s->ctx, s->listener))
            continue;
        while ((got = end_read(&e, data, MESSAGE)) > 0 && end_write(&e, data, got))
            ;
        end_close(&e);
    }
    return NULL;
}

void run_server(const way *w, int threads)
{
    static server s; /* the threads may outlive this */
    pthread_attr_t attributes;
    pthread_t thread;
    int port, i;
    char byte;

    s.ctx = make_ctx(w, true);
    s.listener = listen_anywhere(&port);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    for (i = 0; i < threads; i++) {
        if (pthread_create(&thread, &attributes, serve, &s) != 0)
            die("a thread");
    }
    pthread_attr_destroy(&attributes);
    printf("%d\n", port);
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    _exit(0); /* in the middle of the threads' work */
}
