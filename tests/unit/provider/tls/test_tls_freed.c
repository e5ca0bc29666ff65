/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSLs that are freed while there is no memory. OpenSSL needs memory to call the functions of ten numbers of ex_data, and
 * calls none of them without. The module keeps nothing of such an SSL, and does not look at it any more.
 */
#include "unit.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/mman.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "tls.h"

#define LARGE 1024 /* bytes; an SSL is larger */

/* The head of each allocation of libcrypto, libssl and the module. */
typedef struct head {
    size_t size;
    size_t mapped; /* bytes on pages of its own, or 0 */
    bool of_module;
} __attribute__((aligned(16))) head;

static _Thread_local bool is_short, on_pages;
static _Thread_local void *again[2]; /* SSLs: the next ones are to come at their addresses */
static _Thread_local head *places[2];
static atomic_long kept; /* allocations of the module that are not freed */

static void *get(size_t size, const char *file, int line)
{
    size_t whole = sizeof(head) + size, mapped = on_pages && size >= LARGE ? whole : 0, i;
    head *one;

    if (is_short)
        return NULL;
    for (i = 0; i < 2; i++) {
        one = places[i];
        if (one == NULL || one->size != size)
            continue;
        places[i] = NULL;
        return one + 1;
    }
    one = mapped == 0
              ? malloc(whole)
              : mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (one == NULL || one == MAP_FAILED)
        return NULL;
    *one = (head){size, mapped, file != NULL && strstr(file, "../provider/") != NULL};
    kept += one->of_module;
    return one + 1;
}

/* Let no freed page be read any more. */
static void put(void *ptr, const char *file, int line)
{
    head *one = ptr == NULL ? NULL : (head *)ptr - 1;
    size_t i;

    if (one == NULL)
        return;
    for (i = 0; i < 2; i++) {
        if (ptr == again[i]) {
            again[i] = NULL;
            places[i] = one;
            return;
        }
    }
    kept -= one->of_module;
    if (one->mapped == 0)
        free(one);
    else
        mprotect(one, one->mapped, PROT_NONE);
}

static void *get_more(void *old, size_t size, const char *file, int line)
{
    void *more = size == 0 ? NULL : get(size, file, line);
    size_t had = old == NULL ? 0 : ((head *)old - 1)->size;

    if (more == NULL && size != 0)
        return NULL;
    if (more != NULL && old != NULL)
        memcpy(more, old, had < size ? had : size);
    put(old, file, line);
    return more;
}

/* Make a context in which the application looks at its peer, with this SSL. */
static X509_STORE_CTX *context_about(SSL *ssl, X509 *cert)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    assert_non_null(ctx);
    assert_int_equal(X509_STORE_CTX_init(ctx, NULL, cert, NULL), 1);
    assert_int_equal(X509_STORE_CTX_set_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx(), ssl), 1);
    return ctx;
}

/* Free both ends without memory, after their handshake or in it. Keep a context that names the server. */
static X509_STORE_CTX *free_without_memory(const minted *own, bool is_done)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, own);
    SSL_CTX *client_ctx = tls_ctx(TLS1_3_VERSION, own == &world.site ? NULL : &world.friend);
    X509_STORE_CTX *look;
    SSL *client, *server;
    tls_outcome outcome;

    on_pages = true;
    tls_pair(client_ctx, server_ctx, &client, &server);
    on_pages = false;
    if (is_done) {
        outcome = tls_talk(client, server);
        assert_talked("before", &outcome);
    } else {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    look = context_about(server, world.friend.cert);
    is_short = true;
    SSL_free(client);
    SSL_free(server);
    is_short = false;
    ERR_clear_error();
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return look;
}

/* A page of a freed SSL crashes where it is read. */
static void test_not_looked_at(void **state)
{
    const minted *const servers[] = {&world.site, &world.web};
    size_t i;

    for (i = 0; i < 4; i++)
        X509_STORE_CTX_free(free_without_memory(servers[i % 2], i / 2 == 0));
}

static void test_nothing_is_kept(void **state)
{
    long before;
    size_t i;

    X509_STORE_CTX_free(free_without_memory(&world.web, true));
    before = kept;
    for (i = 0; i < 4; i++)
        X509_STORE_CTX_free(free_without_memory(&world.web, i % 2 == 0));
    assert_int_equal(kept, before);
}

/* OpenSSL calls no function for the freed SSLs of a program with ten numbers. The next ones have nothing of theirs. */
static void test_another_at_its_address(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.web),
            *client_ctx = tls_ctx(TLS1_3_VERSION, &world.friend);
    SSL *client, *server, *older[2];
    tls_outcome outcome;
    long before = kept;
    size_t i;

    for (i = 0; i < 10; i++)
        assert_true(CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, NULL) >= 0);
    tls_pair(client_ctx, server_ctx, &client, &server);
    outcome = tls_talk(client, server);
    assert_talked("governed", &outcome);
    again[0] = older[0] = client;
    again[1] = older[1] = server;
    is_short = true;
    SSL_free(client);
    SSL_free(server);
    is_short = false;
    ERR_clear_error();
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    assert_true(places[0] != NULL && places[1] != NULL && kept > before);

    server_ctx = tls_ctx(TLS1_3_VERSION, &world.site);
    client_ctx = tls_ctx(TLS1_3_VERSION, NULL);
    tls_pair(client_ctx, server_ctx, &client, &server);
    assert_true(client == older[0] || client == older[1] || server == older[0]
                || server == older[1]);
    outcome = tls_talk(client, server);
    assert_talked("ordinary", &outcome);
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    assert_true(kept <= before); /* the endpoints of the freed SSLs, too */
}

/* OpenSSL tells of no end under another default library context. A page of a freed SSL crashes where it is read. */
static void test_under_another_default(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.site),
            *client_ctx = tls_ctx(TLS1_3_VERSION, NULL);
    OSSL_LIB_CTX *elsewhere = OSSL_LIB_CTX_new(), *usual;
    X509_STORE_CTX *look;
    SSL *client, *server;
    tls_outcome outcome;

    assert_non_null(elsewhere);
    usual = OSSL_LIB_CTX_set0_default(elsewhere);
    on_pages = true;
    tls_pair(client_ctx, server_ctx, &client, &server);
    on_pages = false;
    OSSL_LIB_CTX_set0_default(usual);
    outcome = tls_talk(client, server);
    assert_talked("before", &outcome);
    look = context_about(server, world.friend.cert);
    OSSL_LIB_CTX_set0_default(elsewhere);
    tls_close(client, server);
    OSSL_LIB_CTX_set0_default(usual);
    X509_STORE_CTX_free(look);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    OSSL_LIB_CTX_free(elsewhere);
}

static int put_off(SSL *ssl, int *alert, void *arg)
{
    return SSL_CLIENT_HELLO_RETRY;
}

/*
 * A server has its ClientHello, and no number of its own yet. Then it is freed, and another one has its address. OpenSSL
 * tells of neither.
 */
static void test_another_without_a_number(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.web),
            *client_ctx = tls_ctx(TLS1_3_VERSION, NULL);
    OSSL_LIB_CTX *elsewhere = OSSL_LIB_CTX_new(), *usual;
    SSL *client, *server, *older;
    BIO *client_bio, *server_bio;
    tls_outcome outcome;
    head *place;

    assert_non_null(elsewhere);
    SSL_CTX_set_client_hello_cb(server_ctx, put_off, NULL);
    usual = OSSL_LIB_CTX_set0_default(elsewhere);
    tls_pair(client_ctx, server_ctx, &client, &server);
    OSSL_LIB_CTX_set0_default(usual);
    SSL_do_handshake(client);
    assert_int_equal(SSL_get_error(server, SSL_do_handshake(server)),
                     SSL_ERROR_WANT_CLIENT_HELLO_CB);
    again[0] = older = server;
    OSSL_LIB_CTX_set0_default(elsewhere);
    SSL_free(server);
    SSL_free(client);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    OSSL_LIB_CTX_set0_default(usual);
    place = places[0];
    places[0] = NULL; /* for no other object of its size */
    assert_non_null(place);

    server_ctx = tls_ctx(TLS1_3_VERSION, &world.site);
    client_ctx = tls_ctx(TLS1_3_VERSION, NULL);
    OSSL_LIB_CTX_set0_default(elsewhere);
    places[0] = place;
    server = SSL_new(server_ctx);
    client = SSL_new(client_ctx);
    OSSL_LIB_CTX_set0_default(usual);
    assert_ptr_equal(server, older);
    assert_true(BIO_new_bio_pair(&client_bio, 1 << 16, &server_bio, 1 << 16));
    SSL_set_bio(client, client_bio, client_bio);
    SSL_set_bio(server, server_bio, server_bio);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    outcome = tls_talk(client, server);
    assert_talked("an ordinary server", &outcome);
    OSSL_LIB_CTX_set0_default(elsewhere);
    tls_close(client, server);
    OSSL_LIB_CTX_set0_default(usual);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    OSSL_LIB_CTX_free(elsewhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_not_looked_at, tls_reset),
        cmocka_unit_test_setup(test_nothing_is_kept, tls_reset),
        cmocka_unit_test_setup(test_under_another_default, tls_reset),
        cmocka_unit_test_setup(test_another_at_its_address, tls_reset),
        cmocka_unit_test_setup(test_another_without_a_number, tls_reset),
    };

    /* Before anything else is allocated. */
    if (CRYPTO_set_mem_functions(get, get_more, put) != 1) {
        fprintf(stderr, "libcrypto does not take our memory functions\n");
        return 1;
    }
    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
