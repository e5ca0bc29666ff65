/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends in memory, for callgrind. */
#include "end.h"
#include "paced_clock.h"

#include <string.h>

#include <openssl/err.h>

#define STEPS_MAX 20

static void talk(SSL *c, SSL *s)
{
    char data[MESSAGE] = "hello";
    int i;

    for (i = 0; i < STEPS_MAX && !(SSL_is_init_finished(c) && SSL_is_init_finished(s)); i++) {
        SSL_do_handshake(c);
        SSL_do_handshake(s);
    }
    if (SSL_write(c, data, MESSAGE) != MESSAGE || SSL_read(s, data, MESSAGE) != MESSAGE
        || SSL_write(s, data, MESSAGE) != MESSAGE || SSL_read(c, data, MESSAGE) != MESSAGE)
        die("no connection");
}

static void pair_once(SSL_CTX *client_ctx, SSL_CTX *server_ctx, bool is_public)
{
    SSL *c = SSL_new(client_ctx), *s = SSL_new(server_ctx);
    BIO *one = NULL, *other = NULL;

    if (c == NULL || s == NULL || BIO_new_bio_pair(&one, 0, &other, 0) != 1)
        die("a pair");
    SSL_set_bio(c, one, one);
    SSL_set_bio(s, other, other);
    SSL_set_connect_state(c);
    SSL_set_accept_state(s);
    if (is_public
        && (SSL_set1_host(c, "localhost") != 1 || SSL_set_tlsext_host_name(c, "localhost") != 1))
        die("a name");
    talk(c, s);
    SSL_free(c);
    SSL_free(s);
    ERR_clear_error();
}

/* Public is TLS as on the web: the client has no certificate, and verifies the server and its name. */
int run_pairs(const way *w, long count, bool is_public)
{
    way client = *w, server = *w;
    SSL_CTX *client_ctx, *server_ctx;

    if (is_public)
        client.certificate = server.ca = "-";
    client_ctx = make_ctx(&client, false);
    server_ctx = make_ctx(&server, true);
    if (client_ctx == NULL || server_ctx == NULL)
        die("no TLS");
    if (paced_clock_tick != NULL)
        count += PACED_WARM;
    for (; count > 0; count--) {
        if (paced_clock_tick != NULL)
            paced_clock_tick();
        pair_once(client_ctx, server_ctx, is_public);
    }
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    return 0;
}
