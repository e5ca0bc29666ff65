/* SPDX-License-Identifier: Apache-2.0 */
#include "quic.h"

#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/quic.h>

#define PATIENCE_S 60    /* for a connection, and as the alarm */
#define AFTER_FAILURE 30 /* turns of both, in which data would come through */

static const unsigned char alpn[] = "\4line";

/* ---- parties ---- */

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned int in_len, void *arg)
{
    unsigned char *chosen;
    int result = SSL_select_next_proto(&chosen, out_len, alpn, sizeof(alpn) - 1, in, in_len);

    *out = chosen;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Work in the library context of this party, or in the usual one. Return the one before. */
static OSSL_LIB_CTX *enter(const quic_party *party)
{
    return party->elsewhere == NULL ? OSSL_LIB_CTX_get0_global_default()
                                    : OSSL_LIB_CTX_set0_default(party->elsewhere);
}

static void leave(OSSL_LIB_CTX *usual)
{
    OSSL_LIB_CTX_set0_default(usual);
}

static quic_party make_party(const SSL_METHOD *method, const minted *own, bool elsewhere)
{
    quic_party party = {.elsewhere = elsewhere ? OSSL_LIB_CTX_new() : NULL};
    OSSL_LIB_CTX *usual = enter(&party);

    party.ctx = SSL_CTX_new(method);
    assert_non_null(party.ctx);
    if (own != NULL)
        tls_use(party.ctx, own);
    SSL_CTX_set_alpn_select_cb(party.ctx, select_alpn, NULL);
    SSL_CTX_set_verify(party.ctx, SSL_VERIFY_NONE, NULL); /* a client would verify by default */
    leave(usual);
    return party;
}

quic_party quic_server(const minted *own, bool elsewhere)
{
    return make_party(OSSL_QUIC_server_method(), own, elsewhere);
}

quic_party quic_client(const minted *own, bool elsewhere)
{
    return make_party(OSSL_QUIC_client_method(), own, elsewhere);
}

void quic_free(quic_party *party)
{
    OSSL_LIB_CTX *usual = enter(party);

    SSL_free(party->ssl);
    SSL_CTX_free(party->ctx);
    leave(usual);
    OSSL_LIB_CTX_free(party->elsewhere);
    if (party->ssl != NULL)
        close(party->fd);
    ERR_clear_error();
}

static void open_socket(quic_party *party)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    party->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(party->fd >= 0);
    assert_int_equal(bind(party->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(SSL_set_fd(party->ssl, party->fd), 1);
    assert_int_equal(SSL_set_blocking_mode(party->ssl, 0), 1);
}

static void listen_with(quic_party *server)
{
    OSSL_LIB_CTX *usual = enter(server);

    server->ssl = SSL_new_listener(server->ctx, 0);
    assert_non_null(server->ssl);
    open_socket(server);
    assert_int_equal(SSL_listen(server->ssl), 1);
    leave(usual);
}

static void open_client(quic_party *client, const quic_party *server, SSL_SESSION *session)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    OSSL_LIB_CTX *usual = enter(client);

    if (client->ssl != NULL) {
        SSL_free(client->ssl);
        close(client->fd);
    }
    client->ssl = SSL_new(client->ctx);
    assert_non_null(client->ssl);
    open_socket(client);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(SSL_set_alpn_protos(client->ssl, alpn, sizeof(alpn) - 1), 0);
    assert_true(session == NULL || SSL_set_session(client->ssl, session) == 1);
    leave(usual);
}

/* ---- talking ---- */

typedef struct side {
    quic_party *party;
    SSL *conn, *out, *in;
    const char *line; /* its line of data */
    bool done, written, got, failed;
    char *errors;
    size_t errors_size;
} side;

static void note_failure(side *one, const SSL *ssl, int result)
{
    int error = result > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl, result);

    one->failed |=
        error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL || error == SSL_ERROR_ZERO_RETURN;
}

/* Write on a stream of its own, like a careless application, which does not wait for the handshake. */
static void write_line(side *one)
{
    int result;

    ERR_set_mark(); /* the peer allows none at first */
    if (one->out == NULL)
        one->out = SSL_new_stream(one->conn, SSL_STREAM_FLAG_UNI | SSL_STREAM_FLAG_NO_BLOCK);
    ERR_pop_to_mark();
    if (one->out == NULL || one->written)
        return;
    result = SSL_write(one->out, one->line, (int)strlen(one->line));
    one->written = result > 0;
    note_failure(one, one->out, result);
}

static void read_line(side *one)
{
    char buffer[64];
    int result;

    if (one->in == NULL)
        one->in = SSL_accept_stream(one->conn, SSL_ACCEPT_STREAM_NO_BLOCK);
    if (one->in == NULL) {
        one->failed |= ERR_peek_error() != 0; /* the connection has ended */
        return;
    }
    result = SSL_read(one->in, buffer, sizeof(buffer));
    one->got |= result > 0;
    note_failure(one, one->in, result);
}

static void take_turn(side *one)
{
    OSSL_LIB_CTX *usual = enter(one->party);
    int result;

    ERR_clear_error();
    SSL_handle_events(one->party->ssl);
    if (one->conn == NULL) {
        one->conn = SSL_accept_connection(one->party->ssl, SSL_ACCEPT_CONNECTION_NO_BLOCK);
        if (one->conn != NULL)
            SSL_set_default_stream_mode(one->conn, SSL_DEFAULT_STREAM_MODE_NONE);
    }
    ERR_clear_error();
    if (one->conn != NULL && !one->failed) {
        result = SSL_do_handshake(one->conn);
        one->done |= result == 1;
        note_failure(one, one->conn, result);
        write_line(one);
        read_line(one);
        tls_take_errors(one->errors, one->errors_size);
    }
    ERR_clear_error();
    leave(usual);
}

static void close_streams(side *one)
{
    OSSL_LIB_CTX *usual = enter(one->party);

    SSL_CONN_CLOSE_INFO info;
    size_t len = strlen(one->errors);

    if (one->conn != NULL && SSL_get_conn_close_info(one->conn, &info, sizeof(info)) == 1)
        snprintf(one->errors + len, one->errors_size - len, "closed %s with 0x%x\n",
                 (info.flags & SSL_CONN_CLOSE_FLAG_LOCAL) != 0 ? "here" : "there",
                 (unsigned int)info.error_code);
    SSL_free(one->in);
    SSL_free(one->out);
    if (one->conn != one->party->ssl)
        SSL_free(one->conn);
    leave(usual);
}

static void talk(side *client, side *server)
{
    time_t end = time(NULL) + PATIENCE_S;
    int left = AFTER_FAILURE;

    alarm(2 * PATIENCE_S);
    while (!(client->got && server->got) && left > 0 && time(NULL) < end) {
        take_turn(client);
        take_turn(server);
        left -= client->failed || server->failed;
        poll(NULL, 0, 1);
    }
    alarm(0);
}

tls_outcome quic_talk(quic_party *client, quic_party *server, SSL_SESSION *session)
{
    tls_outcome outcome = {0};
    side c = {.party = client,
              .line = "ping",
              .errors = outcome.client_errors,
              .errors_size = sizeof(outcome.client_errors)};
    side s = {.party = server,
              .line = "pong",
              .errors = outcome.server_errors,
              .errors_size = sizeof(outcome.server_errors)};

    if (server->ssl == NULL)
        listen_with(server);
    open_client(client, server, session);
    c.conn = client->ssl;
    SSL_set_default_stream_mode(c.conn, SSL_DEFAULT_STREAM_MODE_NONE);
    talk(&c, &s);
    close_streams(&c);
    close_streams(&s);
    outcome.client_done = c.done;
    outcome.server_done = s.done;
    outcome.client_got = c.got;
    outcome.server_got = s.got;
    outcome.reused = SSL_session_reused(client->ssl) == 1;
    return outcome;
}
