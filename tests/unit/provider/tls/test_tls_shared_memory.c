/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that gives libcrypto memory which all its processes write to, as Kamailio does. It is no service, as the state of a
 * process would be there. Its ordinary TLS goes on.
 */
#include "unit.h"

#include <stdatomic.h>
#include <stdio.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "tls.h"

#define ARENA ((size_t)1 << 30) /* bytes, of which a test touches some million */
#define HEAD 16                 /* bytes before each allocation, with its size */
#define REASON "keeps OpenSSL's memory where all its processes write to it"

static char *arena;
static atomic_size_t used;

static void *get(size_t size, const char *file, int line)
{
    size_t at = atomic_fetch_add(&used, HEAD + (size + HEAD - 1) / HEAD * HEAD);

    if (at + HEAD + size > ARENA)
        return NULL;
    memcpy(arena + at, &size, sizeof(size));
    return arena + at + HEAD;
}

static void put(void *old, const char *file, int line)
{
}

static void *get_more(void *old, size_t size, const char *file, int line)
{
    void *more = get(size, file, line);
    size_t had = 0;

    if (old != NULL)
        memcpy(&had, (char *)old - HEAD, sizeof(had));
    if (more != NULL && old != NULL)
        memcpy(more, old, had < size ? had : size);
    return more;
}

static void test_ordinary_tls_goes_on(void **state)
{
    tls_outcome outcome;
    size_t i;

    for (i = 0; i < 2; i++) {
        SSL_CTX *server = tls_ctx(tls_versions[i], &world.site),
                *client = tls_ctx(tls_versions[i], NULL);

        outcome = tls_connect(client, server);
        assert_talked("an ordinary server", &outcome);
        SSL_CTX_free(server);
        SSL_CTX_free(client);
    }
}

/* Meet a peer with a leaf, in a library context that the provider does not reach. */
static void refuse(int version, bool is_server)
{
    OSSL_LIB_CTX *elsewhere;
    SSL_CTX *own = tls_ctx(version, is_server ? &world.web : &world.friend),
            *peer = tls_ctx_elsewhere(version, is_server ? &world.friend : &world.web, &elsewhere);
    SSL *client, *server;
    tls_outcome outcome;

    tls_pair_with(is_server ? peer : own, is_server ? own : peer, elsewhere, is_server, &client,
                  &server);
    outcome = tls_talk(client, server);
    assert_refused(is_server ? "a server" : "a client", &outcome);
    assert_contains(is_server ? outcome.server_errors : outcome.client_errors, REASON);
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(own);
    SSL_CTX_free(peer);
    OSSL_LIB_CTX_free(elsewhere);
}

static void test_a_leaf_is_refused(void **state)
{
    size_t i;

    for (i = 0; i < 4; i++)
        refuse(tls_versions[i % 2], i < 2);
}

static void test_a_service_is_refused(void **state)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    char errors[4096] = "";

    assert_non_null(ctx);
    assert_int_equal(SSL_CTX_use_certificate(ctx, world.site.cert), 0);
    tls_take_errors(errors, sizeof(errors));
    assert_non_null(strstr(errors, REASON));
    SSL_CTX_free(ctx);
}

static int set_up_a_service(void **state)
{
    return tls_set_up_as("service = web\n");
}

static int run_with_the_setting(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_service_is_refused, tls_reset),
    };

    return cmocka_run_group_tests(tests, set_up_a_service, tls_tear_down);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_ordinary_tls_goes_on, tls_reset),
        cmocka_unit_test_setup(test_a_leaf_is_refused, tls_reset),
    };
    int status = 1;
    pid_t child;

    arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
    /* Before anything else is allocated. */
    if (arena == MAP_FAILED || CRYPTO_set_mem_functions(get, get_more, put) != 1) {
        fprintf(stderr, "libcrypto does not take our memory functions\n");
        return 1;
    }
    /* The setting is of a whole process, which reads it at its first use of libcrypto. */
    child = fork();
    if (child == 0)
        _exit(run_with_the_setting());
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        return 1;
    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
