/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server on OpenSSL's own QUIC, which knows nothing of Connect. It has a thread for each connection, and its calls
 * block. A client that is let in reads "served", and its line is printed.
 *
 * Arguments: a certificate, its key.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <openssl/quic.h>
#include <openssl/ssl.h>

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned int in_len, void *arg)
{
    static const unsigned char alpn[] = "\4line";
    unsigned char *chosen;
    int result = SSL_select_next_proto(&chosen, out_len, alpn, sizeof(alpn) - 1, in, in_len);

    *out = chosen;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void *serve(void *arg)
{
    static const char answer[] = "served\n";
    SSL *conn = arg;
    char line[256], text[300];
    size_t len;

    if (SSL_read_ex(conn, line, sizeof(line) - 1, &len) == 1) {
        line[len] = '\0';
        snprintf(text, sizeof(text), "GOT %.*s\n", (int)strcspn(line, "\n"), line);
        fputs(text, stdout);
        SSL_write_ex2(conn, answer, sizeof(answer) - 1, SSL_WRITE_FLAG_CONCLUDE, &len);
        SSL_shutdown(conn);
    } else {
        fputs("NOTHING\n", stdout);
    }
    fflush(stdout);
    SSL_free(conn);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    SSL_CTX *ctx = SSL_CTX_new(OSSL_QUIC_server_method());
    SSL *listener, *conn;
    pthread_t thread;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc != 3 || ctx == NULL || SSL_CTX_use_certificate_chain_file(ctx, argv[1]) != 1
        || SSL_CTX_use_PrivateKey_file(ctx, argv[2], SSL_FILETYPE_PEM) != 1) {
        fputs("no certificate\n", stderr);
        return 2;
    }
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
    listener = SSL_new_listener(ctx, 0);
    if (bind(fd, (struct sockaddr *)&address, len) != 0
        || getsockname(fd, (struct sockaddr *)&address, &len) != 0 || listener == NULL
        || SSL_set_fd(listener, fd) != 1 || SSL_listen(listener) != 1)
        return 1;
    printf("ACCEPT 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while ((conn = SSL_accept_connection(listener, 0)) != NULL) {
        if (pthread_create(&thread, NULL, serve, conn) != 0)
            return 1;
        pthread_detach(thread);
    }
    return 1;
}
