/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applications that give an SSL other verify parameters at any moment. The identity of the connection still counts, and so
 * do the callbacks of the application.
 */
#include "unit.h"

#include <openssl/x509v3.h>

#include "tls.h"

static void give_new(SSL *ssl)
{
    X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();

    assert_non_null(param);
    assert_int_equal(SSL_set1_param(ssl, param), 1);
    X509_VERIFY_PARAM_free(param);
}

static void give_all_anew(SSL *ssl)
{
    X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();

    assert_non_null(param);
    X509_VERIFY_PARAM_set_inh_flags(param, X509_VP_FLAG_OVERWRITE | X509_VP_FLAG_RESET_FLAGS);
    assert_int_equal(SSL_set1_param(ssl, param), 1);
    X509_VERIFY_PARAM_free(param);
}

static void take_nothing(SSL *ssl)
{
}

static void take_time_away(SSL *ssl)
{
    X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), 0);
    X509_VERIFY_PARAM_clear_flags(SSL_get0_param(ssl), X509_V_FLAG_USE_CHECK_TIME);
}

/* Take the mark away, as no known program does. */
static void take_flags_away(SSL *ssl)
{
    X509_VERIFY_PARAM_set_inh_flags(SSL_get0_param(ssl), 0);
}

static void (*const ways[])(SSL *) = {take_nothing, give_new, give_all_anew, take_time_away,
                                      take_flags_away};
#define ALL_WAYS (sizeof(ways) / sizeof(ways[0]))
#define WAYS (ALL_WAYS - 1) /* without the last */

static void (*give)(SSL *);
static SSL_CTX *other_ctx; /* where the SNI callback switches to */

static int switch_ctx(SSL *ssl, int *alert, void *arg)
{
    give(ssl);
    SSL_set_SSL_CTX(ssl, other_ctx);
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(other_ctx), NULL); /* as Apache httpd does */
    return SSL_TLSEXT_ERR_OK;
}

static void test_a_switch(void **state)
{
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < WAYS; i++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
            SSL_CTX *client_ctx = tls_ctx(tls_versions[v], NULL);
            SSL *client, *server;
            tls_outcome outcome;

            other_ctx = tls_ctx(tls_versions[v], &world.site);
            give = ways[i];
            SSL_CTX_set_tlsext_servername_callback(server_ctx, switch_ctx);
            tls_pair(client_ctx, server_ctx, &client, &server);
            SSL_set_tlsext_host_name(client, "somewhere.example");
            outcome = tls_talk(client, server);
            assert_refused("Connect to ordinary, no certificate", &outcome);
            tls_close(client, server);
            SSL_CTX_free(server_ctx);
            SSL_CTX_free(client_ctx);
            SSL_CTX_free(other_ctx);
        }
    }
}

#define STEPS_LEAST 5 /* of a handshake */

static int told, asked; /* calls of the application's own callbacks */
static bool gives_inside;

static void count_info(const SSL *ssl, int where, int value)
{
    told++;
    if (!gives_inside || SSL_in_before(ssl))
        return;
    give((SSL *)ssl);
    sk_SSL_CIPHER_free(SSL_get1_supported_ciphers((SSL *)ssl)); /* calls our security callback */
}

static int count_security(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                          void *ex)
{
    asked++;
    return 1;
}

/* Make a second connection of the same SSLs. */
static void connect_again(SSL *client, SSL *server)
{
    BIO *client_bio, *server_bio;

    assert_true(SSL_clear(client));
    assert_true(SSL_clear(server));
    assert_true(BIO_new_bio_pair(&client_bio, 1 << 16, &server_bio, 1 << 16));
    SSL_set_bio(client, client_bio, client_bio);
    SSL_set_bio(server, server_bio, server_bio);
}

static void test_callbacks_of_the_application(void **state)
{
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < WAYS; i++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
            SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.friend);
            SSL *client, *server;
            tls_outcome outcome;

            gives_inside = false;
            tls_pair(client_ctx, server_ctx, &client, &server);
            SSL_set_info_callback(server, count_info);
            SSL_set_security_callback(server, count_security);
            outcome = tls_talk(client, server);
            assert_talked("a friend", &outcome);
            connect_again(client, server);
            ways[i](server);
            told = asked = 0;
            outcome = tls_talk(client, server);
            assert_talked("a friend again", &outcome);
            assert_true(told > 0);
            assert_true(asked > 0);
            tls_close(client, server);
            SSL_CTX_free(server_ctx);
            SSL_CTX_free(client_ctx);
        }
    }
}

/* It gives them in a callback of its own that ours has called, and calls our others from there. */
static void test_inside_of_a_callback(void **state)
{
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < ALL_WAYS; i++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
            SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.friend);
            SSL *client, *server;
            tls_outcome outcome;

            gives_inside = false;
            give = ways[i];
            tls_pair(client_ctx, server_ctx, &client, &server);
            SSL_set_info_callback(server, count_info);
            outcome = tls_talk(client, server);
            assert_talked("a friend", &outcome);
            connect_again(client, server);
            gives_inside = true;
            told = 0;
            outcome = tls_talk(client, server);
            assert_talked("a friend again", &outcome);
            assert_true(told > STEPS_LEAST);
            tls_close(client, server);
            SSL_CTX_free(server_ctx);
            SSL_CTX_free(client_ctx);
        }
    }
}

/* It gives them between two steps of a handshake. */
static void test_between_two_steps(void **state)
{
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < ALL_WAYS; i++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
            SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.friend);
            SSL *client, *server;
            tls_outcome outcome;

            gives_inside = false;
            tls_pair(client_ctx, server_ctx, &client, &server);
            SSL_set_info_callback(server, count_info);
            SSL_do_handshake(client);
            SSL_do_handshake(server);
            assert_false(SSL_is_init_finished(server));
            ways[i](server);
            told = 0;
            outcome = tls_talk(client, server);
            assert_talked("a friend", &outcome);
            assert_true(told > 0);
            tls_close(client, server);
            SSL_CTX_free(server_ctx);
            SSL_CTX_free(client_ctx);
        }
    }
}

/* ---- a program that writes the inheritance flags, in which the mark of an SSL is ---- */

static void write_flags(SSL *ssl, uint32_t flags)
{
    X509_VERIFY_PARAM_set_inh_flags(SSL_get0_param(ssl), flags);
}

static void write_zeros(SSL *ssl)
{
    write_flags(ssl, 0);
}

static void write_ones(SSL *ssl)
{
    write_flags(ssl, UINT32_MAX);
}

static void write_a_mark(SSL *ssl)
{
    write_flags(ssl, 0x12345600);
}

/* Have an inheritance write zeros, by a flag. */
static void inherit_once(SSL *ssl)
{
    X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();

    assert_non_null(param);
    X509_VERIFY_PARAM_set_inh_flags(param, X509_VP_FLAG_ONCE);
    assert_int_equal(X509_VERIFY_PARAM_inherit(SSL_get0_param(ssl), param), 1);
    X509_VERIFY_PARAM_set_inh_flags(SSL_get0_param(ssl), X509_VP_FLAG_ONCE);
    assert_int_equal(SSL_set1_param(ssl, param), 1);
    X509_VERIFY_PARAM_free(param);
}

static void (*const writers[])(SSL *) = {write_zeros, write_ones, write_a_mark, inherit_once};
static void (*write_as)(SSL *);
static SSL *written; /* the side under test */
static int writes;

/* Write, and have our security callback called, which looks for the endpoint. */
static void write_and_look(SSL *ssl)
{
    if (ssl != written || SSL_in_before(ssl))
        return;
    write_as(ssl);
    sk_SSL_CIPHER_free(SSL_get1_supported_ciphers(ssl));
    write_as(ssl);
    writes++;
}

static void write_in_info(const SSL *ssl, int where, int value)
{
    write_and_look((SSL *)ssl);
}

static void write_in_message(int write_p, int version, int content_type, const void *buf,
                             size_t len, SSL *ssl, void *arg)
{
    write_and_look(ssl);
}

static int write_in_verify(int ok, X509_STORE_CTX *ctx)
{
    write_and_look(X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx()));
    return 1;
}

static int write_in_check(X509_STORE_CTX *ctx, void *arg)
{
    return write_in_verify(1, ctx);
}

static int write_in_security(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid,
                             void *other, void *ex)
{
    static bool inside;

    if (!inside && s != NULL) {
        inside = true;
        write_and_look((SSL *)s);
        inside = false;
    }
    return 1;
}

#define WRITING_PLACES 5

static void write_in(SSL_CTX *ctx, size_t place)
{
    if (place == 0)
        SSL_CTX_set_info_callback(ctx, write_in_info);
    else if (place == 1)
        SSL_CTX_set_msg_callback(ctx, write_in_message);
    else if (place == 2)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, write_in_verify);
    else if (place == 3)
        SSL_CTX_set_cert_verify_callback(ctx, write_in_check, NULL);
    else
        SSL_CTX_set_security_callback(ctx, write_in_security);
}

static tls_outcome talk_and_write(int version, const minted *own, const minted *peer,
                                  bool is_client, size_t place)
{
    SSL_CTX *ctx = tls_ctx(version, own), *peer_ctx = tls_ctx(version, peer);
    SSL *client, *server;
    tls_outcome outcome;

    write_in(ctx, place);
    tls_pair(is_client ? ctx : peer_ctx, is_client ? peer_ctx : ctx, &client, &server);
    written = is_client ? client : server;
    writes = 0;
    outcome = tls_talk(client, server);
    written = NULL;
    tls_close(client, server);
    SSL_CTX_free(ctx);
    SSL_CTX_free(peer_ctx);
    return outcome;
}

static void test_flags_written(void **state)
{
    size_t i, w, place;

    for (i = 0; i < 4; i++) {
        for (w = 0; w < sizeof(writers) / sizeof(writers[0]); w++) {
            for (place = 0; place < WRITING_PLACES; place++) {
                const minted *own = i < 2 ? &world.web : &world.friend,
                             *friend = i < 2 ? &world.friend : &world.web;
                tls_outcome outcome;

                write_as = writers[w];
                outcome = talk_and_write(tls_versions[i % 2], own, &world.stranger, i >= 2, place);
                assert_refused("a stranger", &outcome);
                assert_true(writes > 0);
                outcome = talk_and_write(tls_versions[i % 2], own, friend, i >= 2, place);
                assert_talked("a friend", &outcome);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_switch, tls_reset),
        cmocka_unit_test_setup(test_callbacks_of_the_application, tls_reset),
        cmocka_unit_test_setup(test_inside_of_a_callback, tls_reset),
        cmocka_unit_test_setup(test_between_two_steps, tls_reset),
        cmocka_unit_test_setup(test_flags_written, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
