/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QUIC of the application's own, on OpenSSL's TLS (SSL_set_quic_tls_cbs). libssl hands over secrets there, and writes and
 * reads no data by itself. A peer that was not authorized may get nothing by them.
 */
#include "unit.h"

#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/err.h>

#include "hostile.h"
#include "tls.h"

#define FLIGHTS 64
#define TURNS 20

/* One end, with what it has sent, flight by flight. */
typedef struct own_quic {
    SSL *ssl;
    struct own_quic *peer;
    unsigned char sent[1 << 16];
    size_t ends[FLIGHTS], count; /* of its messages */
    size_t taken;                /* by its peer */
    bool done, failed;
    bool reads, writes; /* data: it has the secret for that */
    char errors[4096];
} own_quic;

static int send_message(SSL *ssl, const unsigned char *buf, size_t len, size_t *consumed, void *arg)
{
    own_quic *own = arg;
    size_t end = own->count == 0 ? 0 : own->ends[own->count - 1];

    assert_true(own->count < FLIGHTS && end + len <= sizeof(own->sent));
    memcpy(own->sent + end, buf, len);
    own->ends[own->count++] = end + len;
    *consumed = len;
    return 1;
}

/* Hand over the rest of one message. libssl refuses two with different secrets. */
static int receive(SSL *ssl, const unsigned char **buf, size_t *len, void *arg)
{
    const own_quic *peer = ((own_quic *)arg)->peer;
    size_t i = 0;

    while (i < peer->count && peer->ends[i] <= peer->taken)
        i++;
    *buf = peer->sent + peer->taken;
    *len = i < peer->count ? peer->ends[i] - peer->taken : 0;
    return 1;
}

static int release(SSL *ssl, size_t len, void *arg)
{
    ((own_quic *)arg)->peer->taken += len;
    return 1;
}

static int take_secret(SSL *ssl, uint32_t level, int direction, const unsigned char *secret,
                       size_t len, void *arg)
{
    own_quic *own = arg;

    if (level == OSSL_RECORD_PROTECTION_LEVEL_APPLICATION)
        *(direction == 0 ? &own->reads : &own->writes) = true;
    return 1;
}

static int take_params(SSL *ssl, const unsigned char *params, size_t len, void *arg)
{
    return 1;
}

static int take_alert(SSL *ssl, unsigned char alert, void *arg)
{
    return 1;
}

static const OSSL_DISPATCH functions[] = {
    {OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_SEND, (void (*)(void))send_message},
    {OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RECV_RCD, (void (*)(void))receive},
    {OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RELEASE_RCD, (void (*)(void))release},
    {OSSL_FUNC_SSL_QUIC_TLS_YIELD_SECRET, (void (*)(void))take_secret},
    {OSSL_FUNC_SSL_QUIC_TLS_GOT_TRANSPORT_PARAMS, (void (*)(void))take_params},
    {OSSL_FUNC_SSL_QUIC_TLS_ALERT, (void (*)(void))take_alert},
    OSSL_DISPATCH_END,
};

static void open_end(own_quic *own, SSL_CTX *ctx, own_quic *peer)
{
    static const unsigned char params[] = {0};

    own->ssl = SSL_new(ctx);
    own->peer = peer;
    assert_non_null(own->ssl);
    assert_int_equal(SSL_set_quic_tls_cbs(own->ssl, functions, own), 1);
    assert_int_equal(SSL_set_quic_tls_transport_params(own->ssl, params, sizeof(params)), 1);
}

static void take_turn(own_quic *own)
{
    int result, error;

    if (own->done || own->failed)
        return;
    ERR_clear_error();
    result = SSL_do_handshake(own->ssl);
    error = SSL_get_error(own->ssl, result);
    own->done = result == 1;
    own->failed = result != 1 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
    tls_take_errors(own->errors, sizeof(own->errors));
}

static own_quic client, server;

/* Let two ends talk, and free their contexts. */
static void talk(SSL_CTX *client_ctx, SSL_CTX *server_ctx)
{
    int turn;

    memset(&client, 0, sizeof(client));
    memset(&server, 0, sizeof(server));
    open_end(&client, client_ctx, &server);
    open_end(&server, server_ctx, &client);
    SSL_set_connect_state(client.ssl);
    SSL_set_accept_state(server.ssl);
    for (turn = 0; turn < TURNS; turn++) {
        take_turn(&client);
        take_turn(&server);
    }
    SSL_free(client.ssl);
    SSL_free(server.ssl);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    ERR_clear_error();
}

/* Check that a server has refused its client, and reads no data. libssl hands over the secret for its own data before. */
static void assert_client_refused(const char *name)
{
    if (!server.failed || server.done || server.reads)
        fail_msg("%s: the server goes on\nclient: %s\nserver: %s", name, client.errors,
                 server.errors);
}

static void assert_server_refused(const char *name)
{
    if (!client.failed || client.done || client.reads || client.writes)
        fail_msg("%s: the client goes on\nclient: %s\nserver: %s", name, client.errors,
                 server.errors);
}

static void assert_friends(const char *name)
{
    if (!client.done || !server.done || !client.reads || !client.writes || !server.reads
        || !server.writes)
        fail_msg("%s: no connection\nclient: %s\nserver: %s", name, client.errors, server.errors);
}

static SSL_CTX *plain(const minted *own)
{
    return tls_ctx(TLS1_3_VERSION, own);
}

static void test_servers(void **state)
{
    talk(plain(&world.friend), plain(&world.web));
    assert_friends("allowed");
    talk(plain(NULL), plain(&world.web));
    assert_client_refused("no certificate");
    talk(plain(&world.site), plain(&world.web));
    assert_client_refused("an ordinary client");
    world.agent.allow = false;
    talk(plain(&world.friend), plain(&world.web));
    assert_client_refused("denied");
    assert_contains(server.errors, "peer denied by Consul");
}

static void test_clients(void **state)
{
    talk(plain(&world.friend), plain(&world.site));
    assert_server_refused("an ordinary server");
    talk(plain(&world.friend), plain(&world.stranger));
    assert_server_refused("an impostor");
}

/* ---- applications that set the same things as we do ---- */

static int accept_all(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static void verify_none_on_info(const SSL *ssl, int where, int value)
{
    SSL_set_verify((SSL *)ssl, SSL_VERIFY_NONE, NULL);
}

static SSL_CTX *displaced(const minted *own, unsigned int spare)
{
    SSL_CTX *ctx = plain(own);

    hostile_displace(ctx, HOSTILE_ALL & ~spare);
    SSL_CTX_set_cert_verify_callback(ctx, accept_all, NULL);
    SSL_CTX_set_info_callback(ctx, verify_none_on_info);
    return ctx;
}

static void test_displaced(void **state)
{
    unsigned int spare; /* the callback that is not displaced */

    for (spare = 1; spare < HOSTILE_ALL; spare <<= 1) {
        world.agent.allow = true;
        talk(plain(&world.friend), displaced(&world.web, spare));
        assert_friends("allowed");
        talk(plain(NULL), displaced(&world.web, spare));
        assert_client_refused("no certificate");
        talk(plain(&world.site), displaced(&world.web, spare));
        assert_client_refused("an ordinary client");
        world.agent.allow = false;
        talk(plain(&world.friend), displaced(&world.web, spare));
        assert_client_refused("denied");
        if (spare != HOSTILE_CLIENT_HELLO && spare != HOSTILE_NOT_RESUMABLE) { /* a server's */
            talk(displaced(&world.friend, spare), plain(&world.site));
            assert_server_refused("an ordinary server");
        }
    }
}

/* ---- clients that do something late ---- */

static const minted *given;

static int give_leaf(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
    X509_up_ref(given->cert);
    EVP_PKEY_up_ref(given->key);
    *cert = given->cert;
    *key = given->key;
    return 1;
}

static int use_secret(SSL *ssl, unsigned int type, unsigned int context, const unsigned char **out,
                      size_t *out_len, X509 *cert, size_t index, int *alert, void *arg)
{
    SSL_set_psk_use_session_callback(ssl, hostile_psk_use);
    return 0;
}

/* Make an ordinary server that knows a secret, asks for a certificate and takes any. */
static SSL_CTX *easy_server(void)
{
    SSL_CTX *ctx = plain(&world.site);

    SSL_CTX_set_psk_find_session_callback(ctx, hostile_psk_find);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"any", 3);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, accept_all, NULL);
    return ctx;
}

static void test_late_leaf(void **state)
{
    minted stand_in = mint_stand_in("consul:leaf/friend");
    const minted *const leaves[] = {&world.friend, &stand_in};
    size_t i;

    for (i = 0; i < 2; i++) {
        SSL_CTX *ctx = plain(NULL);

        given = leaves[i];
        SSL_CTX_set_client_cert_cb(ctx, give_leaf);
        talk(ctx, easy_server());
        assert_server_refused("a leaf when it is asked for");
    }
    minted_free(&stand_in);
}

static void test_late_secret(void **state)
{
    SSL_CTX *ctx = plain(&world.friend);

    assert_int_equal(SSL_CTX_add_custom_ext(ctx, 65300, SSL_EXT_CLIENT_HELLO, use_secret, NULL,
                                            NULL, NULL, NULL),
                     1);
    assert_int_equal(SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256"), 1);
    talk(ctx, easy_server());
    assert_server_refused("a secret of the application");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_servers, tls_reset),
        cmocka_unit_test_setup(test_clients, tls_reset),
        cmocka_unit_test_setup(test_displaced, tls_reset),
        cmocka_unit_test_setup(test_late_leaf, tls_reset),
        cmocka_unit_test_setup(test_late_secret, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
