/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applications that look at their peers by themselves, or at an SSL before it connects. A pointer of
 * theirs is not followed where it leads nowhere. Their look is not taken for the end of a
 * verification.
 */
#include "unit.h"

#include <sys/mman.h>

#include <openssl/err.h>

#include "tls.h"

/* ---- a context of the application's own ---- */

/* Make a context in which the application looks at its peer, with this SSL. `chain` may be NULL. */
static X509_STORE_CTX *context_with(void *ssl, X509 *cert, STACK_OF(X509) *chain)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    assert_non_null(ctx);
    assert_int_equal(X509_STORE_CTX_init(ctx, NULL, cert, chain), 1);
    assert_int_equal(X509_STORE_CTX_set_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx(), ssl), 1);
    return ctx;
}

static X509_STORE_CTX *context_about(void *ssl, X509 *cert)
{
    return context_with(ssl, cert, NULL);
}

/* It has no SSL, and a read there crashes. */
static void test_context_that_leads_nowhere(void **state)
{
    size_t size = 1 << 16;
    char *nowhere = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(nowhere, MAP_FAILED);
    X509_STORE_CTX_free(context_about(nowhere + size / 2, world.site.cert));
    munmap(nowhere, size);
}

static void test_context_that_outlives_its_ssl(void **state)
{
    const minted *const servers[] = {&world.site, &world.web};
    size_t i;

    for (i = 0; i < 2; i++) {
        SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, servers[i]);
        SSL_CTX *client_ctx = tls_ctx(TLS1_3_VERSION, &world.friend);
        SSL *client, *server;
        X509_STORE_CTX *ctx;

        tls_pair(client_ctx, server_ctx, &client, &server);
        tls_talk(client, server);
        ctx = context_about(server, world.friend.cert);
        tls_close(client, server);
        X509_STORE_CTX_free(ctx);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
}

static int look_again(int ok, X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());

    X509_STORE_CTX_free(context_about(ssl, X509_STORE_CTX_get0_cert(ctx)));
    X509_STORE_CTX_free(
        context_with(ssl, X509_STORE_CTX_get0_cert(ctx), X509_STORE_CTX_get0_untrusted(ctx)));
    return ok;
}

/* In the handshake, and after it. */
static void test_looked_at_once_more(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.friend);
        SSL *client, *server;
        tls_outcome outcome;

        SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER, look_again);
        SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, look_again);
        tls_pair(client_ctx, server_ctx, &client, &server);
        outcome = tls_talk(client, server);
        assert_talked("looked at in the handshake", &outcome);
        X509_STORE_CTX_free(context_about(server, world.friend.cert));
        X509_STORE_CTX_free(context_about(client, world.web.cert));
        outcome = tls_talk(client, server);
        assert_talked("looked at after the handshake", &outcome);
        tls_close(client, server);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
}

/* Verify by another certificate, which the peer did not show. It stays as it is. */
static int look_at_another(X509_STORE_CTX *ctx, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());

    X509_STORE_CTX_free(context_with(ssl, world.stranger.cert, X509_STORE_CTX_get0_untrusted(ctx)));
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static void test_another_certificate(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.friend);
        tls_outcome outcome;

        SSL_CTX_set_cert_verify_callback(server_ctx, look_at_another, NULL);
        outcome = tls_connect(client_ctx, server_ctx);
        assert_refused("the other one was looked at", &outcome);
        assert_int_equal(X509_check_private_key(world.stranger.cert, world.stranger.key), 1);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
}

/* ---- an application's data of an SSL ---- */

/* Some programs write there without having asked for a number. FreeRADIUS 3.2.10 does so from 10 to 18. */
static void test_numbers_that_nobody_asked_for(void **state)
{
    static const int numbers[] = {0, 1, 10, 11, 12, 13, 14, 15, 16, 17, 18};
    const minted *const servers[] = {&world.site, &world.web};
    char *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t i, n;

    assert_ptr_not_equal(nowhere, MAP_FAILED);
    for (i = 0; i < 2; i++) {
        SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, servers[i]);
        SSL_CTX *client_ctx = tls_ctx(TLS1_3_VERSION, &world.friend);
        SSL *client, *server;
        tls_outcome outcome;

        tls_pair(client_ctx, server_ctx, &client, &server);
        for (n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
            assert_true(SSL_set_ex_data(client, numbers[n], nowhere));
            assert_true(SSL_set_ex_data(server, numbers[n], nowhere));
        }
        outcome = tls_talk(client, server);
        assert_talked("with data of the application's", &outcome);
        tls_close(client, server);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
    munmap(nowhere, 4096);
}

/* ---- a client of a service, that goes by its peer ---- */

static int verified(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static void verify_by_itself(SSL_CTX *ctx)
{
    SSL_CTX_set_cert_verify_callback(ctx, verified, NULL);
}

static void verify_by_itself_alone(SSL_CTX *ctx)
{
    SSL_CTX_set_cert_verify_callback(ctx, verified, NULL);
    SSL_CTX_set_msg_callback(ctx, NULL);
}

static void verify_nothing(SSL_CTX *ctx)
{
}

static tls_outcome reach(int version, const minted *own, void (*on_client)(SSL_CTX *),
                         bool asks_for_a_list, bool at_once)
{
    OSSL_LIB_CTX *libctx;
    SSL_CTX *server_ctx = tls_ctx_elsewhere(version, own, &libctx);
    SSL_CTX *client_ctx = tls_ctx(version, NULL);
    SSL *client, *server = SSL_new(server_ctx);
    BIO *client_bio, *server_bio;
    tls_outcome outcome;

    on_client(client_ctx);
    client = SSL_new(client_ctx);
    if (asks_for_a_list)
        sk_SSL_CIPHER_free(SSL_get1_supported_ciphers(client));
    assert_true(BIO_new_bio_pair(&client_bio, 1 << 16, &server_bio, 1 << 16));
    SSL_set_bio(client, client_bio, client_bio);
    SSL_set_bio(server, server_bio, server_bio);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    outcome = at_once ? tls_talk_at_once(client, server) : tls_talk(client, server);
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    OSSL_LIB_CTX_free(libctx);
    return outcome;
}

/* Its own verification is enough for a server outside of the mesh, and for no other. */
static void test_verified_by_the_application(void **state)
{
    static void (*const ways[])(SSL_CTX *) = {verify_by_itself, verify_by_itself_alone};
    size_t i;

    for (i = 0; i < 2 * 2 * 2; i++) {
        int version = tls_versions[i % 2];
        bool at_once = i / 4 == 1;
        tls_outcome outcome = reach(version, &world.site, ways[i / 2 % 2], false, at_once);

        assert_talked("an ordinary server", &outcome);
        outcome = reach(version, &world.stranger, ways[i / 2 % 2], false, at_once);
        assert_refused("an impostor", &outcome);
        assert_contains(outcome.client_errors, "without having been verified");
    }
}

/* An SSL is no client and no server yet before it connects. */
static void test_asked_for_a_list_first(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        tls_outcome outcome = reach(tls_versions[v], &world.site, verify_nothing, true, false);

        assert_talked("an ordinary server", &outcome);
        assert_string_equal(outcome.client_errors, "");
        outcome = reach(tls_versions[v], &world.stranger, verify_nothing, true, false);
        assert_refused("an impostor", &outcome);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_context_that_leads_nowhere, tls_reset),
        cmocka_unit_test_setup(test_context_that_outlives_its_ssl, tls_reset),
        cmocka_unit_test_setup(test_looked_at_once_more, tls_reset),
        cmocka_unit_test_setup(test_another_certificate, tls_reset),
        cmocka_unit_test_setup(test_numbers_that_nobody_asked_for, tls_reset),
        cmocka_unit_test_setup(test_verified_by_the_application, tls_reset),
        cmocka_unit_test_setup(test_asked_for_a_list_first, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up_as_web, tls_tear_down);
}
