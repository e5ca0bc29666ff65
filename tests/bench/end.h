/*
 * One end of a connection, with TLS or without it, as any application has it: nothing here knows of
 * the provider.
 */
#ifndef BENCH_END_H
#define BENCH_END_H

#include <stdbool.h>

#include <openssl/ssl.h>

#define MESSAGE 64 /* bytes of a request, and of its answer, which is the same */

/* What an end is made of; without a certificate it is plain TCP. */
typedef struct way {
    const char *certificate, *key, *ca; /* files; "-" is none */
    const char *version;                /* 1.2, 1.3 or any */
    const char *chain;                  /* auto, or none: SSL_MODE_NO_AUTO_CHAIN */
} way;

typedef struct end {
    int fd;
    SSL *ssl; /* NULL for plain TCP */
} end;

/* Print what has gone wrong, and end the program. */
_Noreturn void die(const char *what);

double now(void);      /* seconds of the monotonic clock, which all processes share */
double cpu_used(void); /* seconds, by this process */

/* NULL for plain TCP. A server with a CA demands a certificate. */
SSL_CTX *make_ctx(const way *w, bool is_server);

/* A listener on 127.0.0.1, and its port. */
int listen_anywhere(int *port);

/* False, with nothing left open, where there is no connection. */
bool end_accept(end *e, SSL_CTX *ctx, int listener);
bool end_connect(end *e, SSL_CTX *ctx, int port);
void end_close(end *e);

/* Bytes that have come; 0 when the other has closed, or broken off. */
int end_read(const end *e, void *data, int size);
bool end_write(const end *e, const void *data, int size);

/* One request, and its answer. */
bool end_ask(const end *e);

/* ---- what the program does ---- */

_Noreturn void run_server(const way *w, int threads);
int run_connections(const way *w, int port, int threads, double seconds, double rate);
int run_requests(const way *w, int port, int threads, double seconds, double rate);
int run_holder(const way *w, int port, int count);
int run_pairs(const way *w, long count, bool is_public);

#endif
