/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fork amid the handshakes of other threads. Each child calls exit(3) at once. A child that lives on some seconds later hangs
 * in a lock that one of the threads held.
 *
 * Arguments: a PEM file of a server and one of a client, the number of threads, the number of forks. For each child that
 * hangs the program prints "hung PID", and ends the child at a line of input. In the end it prints its counts.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define PATIENCE 5000000 /* us for a child that does nothing but end */
#define POLL 500         /* us */

static SSL_CTX *server_ctx, *client_ctx;
static atomic_long handshakes, failures;

static int take_any(int ok, X509_STORE_CTX *ctx)
{
    return 1;
}

static SSL_CTX *make_ctx(const SSL_METHOD *method, const char *file)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (ctx == NULL || SSL_CTX_use_certificate_chain_file(ctx, file) != 1
        || SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        exit(2);
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, take_any);
    return ctx;
}

/* Return true while a handshake wants to go on. */
static bool goes_on(SSL *ssl, int result)
{
    return result != 1 && SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ;
}

static bool shake_hands(SSL *server, SSL *client)
{
    int c, s = 0;

    do {
        c = SSL_do_handshake(client);
        if (c != 1 && !goes_on(client, c))
            return false;
        s = SSL_do_handshake(server);
        if (s != 1 && !goes_on(server, s))
            return false;
    } while (c != 1 || s != 1);
    return true;
}

static void *work(void *arg)
{
    for (;;) {
        SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
        BIO *left = NULL, *right = NULL;

        if (server == NULL || client == NULL || BIO_new_bio_pair(&left, 0, &right, 0) != 1)
            exit(2);
        SSL_set_accept_state(server);
        SSL_set_connect_state(client);
        SSL_set_bio(server, left, left);
        SSL_set_bio(client, right, right);
        atomic_fetch_add(shake_hands(server, client) ? &handshakes : &failures, 1);
        ERR_clear_error();
        SSL_free(server);
        SSL_free(client);
    }
    return NULL;
}

/* Return true where the child ends in time. */
static bool ends(pid_t child)
{
    long waited;

    for (waited = 0; waited < PATIENCE; waited += POLL) {
        if (waitpid(child, NULL, WNOHANG) == child)
            return true;
        usleep(POLL);
    }
    return false;
}

static int fork_once(void)
{
    long before = atomic_load(&handshakes);
    char line[8];
    pid_t child;

    while (atomic_load(&handshakes) == before)
        usleep(POLL);
    usleep((unsigned int)(random() % 2000)); /* any moment of a handshake */
    if ((child = fork()) == 0)
        exit(0);
    if (child < 0 || ends(child))
        return 0;
    printf("hung %d\n", (int)child);
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin) == NULL)
        line[0] = '\0';
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 1;
}

int main(int argc, char **argv)
{
    struct timespec began, ended;
    int threads, forks, hung = 0, i;
    pthread_t thread;

    if (argc != 5)
        return 2;
    server_ctx = make_ctx(TLS_server_method(), argv[1]);
    client_ctx = make_ctx(TLS_client_method(), argv[2]);
    threads = atoi(argv[3]);
    forks = atoi(argv[4]);
    for (i = 0; i < threads; i++) {
        if (pthread_create(&thread, NULL, work, NULL) != 0)
            return 2;
    }
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (i = 0; i < forks; i++)
        hung += fork_once();
    clock_gettime(CLOCK_MONOTONIC, &ended);
    printf("forks %d hung %d handshakes %ld failures %ld seconds %ld\n", forks, hung,
           atomic_load(&handshakes), atomic_load(&failures), (long)(ended.tv_sec - began.tv_sec));
    fflush(stdout);
    _exit(0); /* in the middle of the threads' work */
}
