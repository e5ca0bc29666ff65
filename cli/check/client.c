/* SPDX-License-Identifier: Apache-2.0 */
#include "check/client.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

typedef struct demand {
    const consul_leaf *leaf;
    bool seen;
} demand;

/* Note that the server asks for a certificate, and give the leaf. */
static int give_leaf(SSL *ssl, void *arg)
{
    demand *d = arg;

    d->seen = true;
    return d->leaf == NULL
           || (SSL_use_certificate(ssl, consul_leaf_cert(d->leaf))
               && SSL_use_PrivateKey(ssl, consul_leaf_key(d->leaf))
               && SSL_set1_chain(ssl, (STACK_OF(X509) *)(uintptr_t)consul_leaf_chain(d->leaf)));
}

static void set_patience(int fd, int milliseconds)
{
    struct timeval patience = {.tv_sec = milliseconds / 1000,
                               .tv_usec = milliseconds % 1000 * 1000L};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

/*
 * Repeat a step until it ends, or the patience does, and return its result. A signal interrupts a step: SIGCONT, say, after a
 * stop of the process.
 */
static int repeat(int (*step)(SSL *), SSL *ssl, int patience)
{
    consul_deadline until = consul_deadline_after(patience);
    int result = step(ssl);

    while (result <= 0 && (SSL_want_read(ssl) || SSL_want_write(ssl)) && consul_now_ms() < until)
        result = step(ssl);
    return result;
}

static int read_byte(SSL *ssl)
{
    char byte;

    return SSL_read(ssl, &byte, 1);
}

static void note_error(cli_visit *visit, SSL *ssl, int result)
{
    unsigned long code = ERR_peek_last_error();
    int error = SSL_get_error(ssl, result);
    const char *reason = ERR_reason_error_string(code);

    snprintf(visit->why, sizeof(visit->why), "%s",
             error == SSL_ERROR_WANT_READ     ? "the server does not answer in time"
             : reason != NULL                 ? reason
             : error == SSL_ERROR_ZERO_RETURN ? "the server has closed the connection"
                                              : "the server has cut the connection off");
}

/* Wait for the judgement: from TLS 1.3 on it follows the client's own handshake. */
static void await_judgement(cli_visit *visit, SSL *ssl, int patience)
{
    int result = repeat(read_byte, ssl, patience);

    visit->admitted = result > 0 || SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ;
    if (!visit->admitted)
        note_error(visit, ssl, result);
}

void cli_visit_make(cli_visit *visit, int fd, const consul_leaf *leaf, const char *name,
                    int patience)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = ctx == NULL ? NULL : SSL_new(ctx);
    demand d = {.leaf = leaf};
    int result;

    memset(visit, 0, sizeof(*visit));
    if (ssl == NULL || !SSL_set_fd(ssl, fd)) {
        snprintf(visit->why, sizeof(visit->why), "OpenSSL has no TLS here");
        goto done;
    }
    ERR_clear_error();
    set_patience(fd, patience);
    SSL_set_cert_cb(ssl, give_leaf, &d);
    if (name != NULL)
        SSL_set_tlsext_host_name(ssl, name);
    result = repeat(SSL_connect, ssl, patience);
    visit->cert = SSL_get1_peer_certificate(ssl);
    visit->chain = X509_chain_up_ref(SSL_get_peer_cert_chain(ssl));
    visit->connected = visit->cert != NULL;
    if (result == 1)
        await_judgement(visit, ssl, patience);
    else
        note_error(visit, ssl, result);
    visit->demanded = d.seen;

done:
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

void cli_visit_clear(cli_visit *visit)
{
    X509_free(visit->cert);
    sk_X509_pop_free(visit->chain, X509_free);
    memset(visit, 0, sizeof(*visit));
}
