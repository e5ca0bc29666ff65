/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shows all certificates of the table of tests/unit/support to a client or a server, one in each connection.
 *
 *     forge client CA.PEM CA.KEY TRUST_DOMAIN SERVICE mesh|foreign PORT WORD
 *     forge server CA.PEM CA.KEY TRUST_DOMAIN SERVICE mesh|foreign
 *
 * The CA is the mesh's. With "foreign", another CA with its names signs. As a server it prints "ROWS" with their
 * number, and "PORT" with its port. For each row it prints the right verdict and the outcome, as 0 or 1, and the name.
 */
#include "forgery.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>

#define PATIENCE 20 /* seconds */

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static minted read_ca(const char *cert, const char *key)
{
    FILE *cert_file = fopen(cert, "r"), *key_file = fopen(key, "r");
    minted ca = {0};

    must(cert_file != NULL && key_file != NULL, "a CA");
    ca.cert = PEM_read_X509(cert_file, NULL, NULL, NULL);
    ca.key = PEM_read_PrivateKey(key_file, NULL, NULL, NULL);
    must(ca.cert != NULL && ca.key != NULL, "a CA");
    fclose(cert_file);
    fclose(key_file);
    return ca;
}

/* Make a socket that gives up after PATIENCE. */
static int new_socket(struct sockaddr_in *address, int port)
{
    const struct timeval patience = {.tv_sec = PATIENCE};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0,
         "a socket");
    return fd;
}

static int connect_to(int port)
{
    struct sockaddr_in address;
    int fd = new_socket(&address, port);

    must(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    return fd;
}

static int listen_somewhere(void)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    int fd = new_socket(&address, 0);

    must(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 8) == 0
             && getsockname(fd, (struct sockaddr *)&address, &len) == 0,
         "listen");
    printf("PORT %d\n", ntohs(address.sin_port));
    return fd;
}

/* Talk by one certificate. A client is served if it gets an answer, and a server if it gets a word. */
static bool talk(const forged *what, int fd, const char *word)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL *ssl;
    char heard[4096];
    int got = 0;

    must(ctx != NULL, "a context");
    SSL_CTX_set_security_level(ctx, 0);
    must(SSL_CTX_use_cert_and_key(ctx, what->leaf.cert, what->leaf.key, what->chain, 1) == 1,
         "a certificate");
    ssl = SSL_new(ctx);
    must(ssl != NULL && SSL_set_fd(ssl, fd) == 1, "an SSL");
    if ((word != NULL ? SSL_connect(ssl) : SSL_accept(ssl)) == 1
        && (word == NULL || SSL_write(ssl, word, (int)strlen(word)) > 0))
        got = SSL_read(ssl, heard, sizeof(heard));
    if (word == NULL && got > 0)
        SSL_write(ssl, heard, got);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return got > 0;
}

int main(int argc, char **argv)
{
    bool is_client = argc == 9 && strcmp(argv[1], "client") == 0;
    bool is_foreign = argc >= 7 && strcmp(argv[6], "foreign") == 0, right, served;
    enum forgery_role role = is_client ? FORGERY_CLIENT : FORGERY_SERVER;
    const forgery *row;
    minted ca, foreign;
    int listener = -1;
    size_t i;

    must(is_client || argc == 7, "arguments");
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    ca = read_ca(argv[2], argv[3]);
    foreign = forgery_foreign_root(&ca, argv[4]);
    for (i = 0; forgery_at(i) != NULL; i++)
        ;
    if (!is_client) {
        printf("ROWS %zu\n", i);
        listener = listen_somewhere();
    }
    for (i = 0; (row = forgery_at(i)) != NULL; i++) {
        forged what = forge(row, is_foreign ? &foreign : &ca, argv[4], argv[5]);
        int fd =
            is_client ? connect_to((int)strtol(argv[7], NULL, 10)) : accept(listener, NULL, NULL);

        must(fd >= 0, "accept");
        right = !is_foreign && forgery_is_served(row, role);
        served = talk(&what, fd, is_client ? argv[8] : NULL);
        printf("%d %d %s\n", right, served, row->name);
        forged_free(&what);
    }
    minted_free(&ca);
    minted_free(&foreign);
    return 0;
}
