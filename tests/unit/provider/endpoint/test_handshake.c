/* SPDX-License-Identifier: Apache-2.0 */
/* The number by which an endpoint knows a handshake. It is of the endpoint's own side: the peer may repeat its number. */
#include "unit.h"

#include <openssl/ssl.h>

#include "endpoint/fields.h"
#include "endpoint/handshake.h"
#include "mint.h"

static minted site;
static SSL_CTX *server_ctx, *client_ctx;
static SSL *server, *client;

/* Connect two ordinary sides anew. */
static void connect_both(void)
{
    BIO *server_bio, *client_bio;
    int i;

    assert_int_equal(BIO_new_bio_pair(&client_bio, 1 << 16, &server_bio, 1 << 16), 1);
    SSL_set_bio(server, server_bio, server_bio);
    SSL_set_bio(client, client_bio, client_bio);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    for (i = 0; i < 4; i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    assert_true(SSL_is_init_finished(server) && SSL_is_init_finished(client));
}

static int set_up(void **state)
{
    site = mint(NULL, (mint_order){.subject = "site"});
    server_ctx = SSL_CTX_new(TLS_server_method());
    client_ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_use_certificate(server_ctx, site.cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server_ctx, site.key), 1);
    server = SSL_new(server_ctx);
    client = SSL_new(client_ctx);
    return server == NULL || client == NULL;
}

static int tear_down(void **state)
{
    SSL_free(server);
    SSL_free(client);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    minted_free(&site);
    return 0;
}

static void test_whose_number(void **state)
{
    unsigned char of_server[SSL3_RANDOM_SIZE], of_client[SSL3_RANDOM_SIZE];
    endpoint e = {0};

    connect_both();
    SSL_get_server_random(server, of_server, sizeof(of_server));
    SSL_get_client_random(client, of_client, sizeof(of_client));
    endpoint_note_handshake(&e, server);
    assert_memory_equal(e.random, of_server, sizeof(of_server));
    endpoint_note_handshake(&e, client);
    assert_memory_equal(e.random, of_client, sizeof(of_client));
}

static void test_which_handshake(void **state)
{
    SSL *const both[] = {server, client};
    endpoint ends[2] = {0};
    int i;

    for (i = 0; i < 2; i++) {
        endpoint_note_handshake(&ends[i], both[i]); /* before the first one */
        assert_false(endpoint_knows_handshake(&ends[i]));
    }
    connect_both();
    for (i = 0; i < 2; i++) {
        assert_false(endpoint_is_same_handshake(&ends[i], both[i]));
        endpoint_note_handshake(&ends[i], both[i]);
        assert_true(endpoint_knows_handshake(&ends[i]));
        assert_true(endpoint_is_same_handshake(&ends[i], both[i]));
        assert_int_equal(SSL_clear(both[i]), 1);
    }
    connect_both();
    for (i = 0; i < 2; i++)
        assert_false(endpoint_is_same_handshake(&ends[i], both[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whose_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_which_handshake, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
