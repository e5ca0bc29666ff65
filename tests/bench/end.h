/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a connection, with TLS or without it, as in any application. It uses nothing of the
 * provider.
 */
#ifndef BENCH_END_H
#define BENCH_END_H

#include <stdbool.h>

#include <openssl/ssl.h>

#define MESSAGE 64 /* bytes of a request, which its answer repeats */

/* The files and settings of an end. Without a certificate it is plain TCP. */
typedef struct way {
    const char *certificate, *key, *ca; /* paths; "-" for no file */
    const char *version;                /* 1.2, 1.3 or any */
    const char *chain;                  /* auto, or none: SSL_MODE_NO_AUTO_CHAIN */
} way;

typedef struct end {
    int fd;
    SSL *ssl; /* NULL for plain TCP */
} end;

/* Print the failed step and the error, and end the program. */
_Noreturn void die(const char *what);

double now(void);      /* seconds of the monotonic clock, which all processes share */
double cpu_used(void); /* seconds, by this process */

/* Make a context, or NULL for plain TCP. A server with a CA demands a certificate. */
SSL_CTX *make_ctx(const way *w, bool is_server);

/* Return a listener on 127.0.0.1, and store its port. */
int listen_anywhere(int *port);

/* Open a connection and return true, or return false with nothing left open. */
bool end_accept(end *e, SSL_CTX *ctx, int listener);
bool end_connect(end *e, SSL_CTX *ctx, int port);
void end_close(end *e);

/* Return the number of bytes that have come, or 0 after the other end has closed or failed. */
int end_read(const end *e, void *data, int size);
bool end_write(const end *e, const void *data, int size);

/* Send a request, and return true once its answer is read. */
bool end_ask(const end *e);

/* ---- the verbs of the program ---- */

_Noreturn void run_server(const way *w, int threads);
int run_connections(const way *w, int port, int threads, double seconds, double rate);
int run_requests(const way *w, int port, int threads, double seconds, double rate);
int run_holder(const way *w, int port, int count);
int run_pairs(const way *w, long count, bool is_public);

#endif
