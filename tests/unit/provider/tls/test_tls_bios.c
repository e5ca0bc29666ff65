/* SPDX-License-Identifier: Apache-2.0 */
/* The BIOs of an application, and the kernel in their place. A connection that is stopped writes to none of them. */
#include "unit.h"

#include <stdio.h>

#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "tls.h"

static int accept_all(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

/* ---- a BIO of the application that looks like the wall of the provider ---- */

static int write_on(BIO *bio, const char *data, size_t len, size_t *written)
{
    return BIO_write_ex(BIO_get_data(bio), data, len, written);
}

static int read_on(BIO *bio, char *data, size_t len, size_t *got)
{
    int ok = BIO_read_ex(BIO_get_data(bio), data, len, got);

    BIO_clear_retry_flags(bio);
    if (!ok)
        BIO_set_retry_read(bio);
    return ok;
}

static long control(BIO *bio, int command, long number, void *arg)
{
    return BIO_ctrl(BIO_get_data(bio), command, number, arg);
}

static int create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static int destroyed_count;

static int destroy(BIO *bio)
{
    destroyed_count++;
    BIO_free(BIO_get_data(bio));
    return 1;
}

/* Give an SSL a BIO with a method of this type, and with these flags. It passes all on to the present one. */
static BIO_METHOD *wrap_bio(SSL *ssl, int type, int flags,
                            long (*control_by)(BIO *, int, long, void *))
{
    BIO_METHOD *method = BIO_meth_new(type, "wrap");
    BIO *inner = SSL_get_wbio(ssl), *bio;

    assert_non_null(method);
    assert_true(BIO_meth_set_write_ex(method, write_on) && BIO_meth_set_read_ex(method, read_on)
                && BIO_meth_set_ctrl(method, control_by) && BIO_meth_set_create(method, create)
                && BIO_meth_set_destroy(method, destroy));
    bio = BIO_new(method);
    assert_non_null(bio);
    assert_true(BIO_up_ref(inner));
    BIO_set_data(bio, inner);
    BIO_set_flags(bio, flags);
    SSL_set_bio(ssl, bio, bio);
    return method;
}

/* Have a server look for early data, go on and write. Return true where a client without a certificate gets it. */
static bool is_given(int type, int flags)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.web),
            *client_ctx = tls_ctx(TLS1_3_VERSION, NULL);
    SSL *client, *server;
    BIO_METHOD *method;
    char buffer[16];
    bool given;
    size_t len;

    tls_pair(client_ctx, server_ctx, &client, &server);
    method = wrap_bio(server, type, flags, control);
    SSL_do_handshake(client);
    SSL_read_early_data(server, buffer, sizeof(buffer), &len);
    SSL_set_shutdown(server, 0);
    SSL_write_early_data(server, "pong", 4, &len);
    given = SSL_read(client, buffer, sizeof(buffer)) > 0
            || SSL_read(client, buffer, sizeof(buffer)) > 0;
    tls_close(client, server);
    BIO_meth_free(method);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    return given;
}

static void test_a_bio_like_the_wall(void **state)
{
    int own = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK;

    assert_false(is_given(own, 0));
    assert_false(is_given(own, BIO_FLAGS_MEM_RDONLY));
    assert_false(is_given(BIO_TYPE_NULL, 0));
    assert_false(is_given(BIO_TYPE_MEM, BIO_FLAGS_MEM_RDONLY));
}

/* ---- keys in the kernel ---- */

/* Take it back between two steps. The next step may give the keys. */
static void enable_ktls(const SSL *ssl, int where, int value)
{
    if ((where & SSL_CB_LOOP) != 0)
        SSL_set_options((SSL *)ssl, SSL_OP_ENABLE_KTLS);
}

/* Return true where a server may give its keys to the kernel, after it has written its Finished. */
static bool gives_keys(int version, const minted *own, bool takes_back)
{
    SSL_CTX *server_ctx = tls_ctx(version, own), *client_ctx = tls_ctx(version, &world.friend);
    SSL *client, *server;
    bool gives;

    SSL_CTX_set_options(server_ctx, SSL_OP_ENABLE_KTLS);
    if (takes_back)
        SSL_CTX_set_info_callback(server_ctx, enable_ktls);
    tls_pair(client_ctx, server_ctx, &client, &server);
    SSL_do_handshake(client);
    SSL_do_handshake(server);
    gives = (SSL_get_options(server) & SSL_OP_ENABLE_KTLS) != 0;
    ERR_clear_error();
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    return gives;
}

/* SSL_sendfile writes as soon as the kernel has the keys, which may be before the client's certificate has come. */
static void test_the_kernel_gets_no_keys(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        assert_true(gives_keys(tls_versions[v], &world.site, false));
        assert_false(gives_keys(tls_versions[v], &world.web, false));
        assert_false(gives_keys(tls_versions[v], &world.web, true));
    }
}

/* ---- a kernel with keys ---- */

#define SET_KTLS_SEND 72 /* a BIO_CTRL_ of libssl alone */

/* In the place of a kernel, which may be without kTLS. It has the socket by which a client is given a file. */
static struct {
    int sockets[2];
    bool has_keys, is_full;
} kernel;

static long control_kernel(BIO *bio, int command, long number, void *arg)
{
    switch (command) {
    case SET_KTLS_SEND:
        kernel.has_keys |= number != 0; /* in one direction at least */
        return number != 0;
    case BIO_CTRL_GET_KTLS_SEND:
        return kernel.has_keys;
    case BIO_C_GET_FD:
        if (arg != NULL)
            *(int *)arg = kernel.sockets[0];
        return kernel.sockets[0];
    case BIO_CTRL_FLUSH:
        BIO_clear_retry_flags(bio);
        if (kernel.is_full)
            BIO_set_retry_write(bio);
        return !kernel.is_full;
    default:
        return control(bio, command, number, arg);
    }
}

static void enable_with_keys(const SSL *ssl, const char *line)
{
    SSL_set_options((SSL *)ssl, SSL_OP_ENABLE_KTLS);
}

/* Return true if SSL_sendfile gives the client four bytes. */
static bool sends_file(SSL *server)
{
    FILE *file = tmpfile();
    char buffer[16];

    assert_non_null(file);
    assert_int_equal(fwrite("pong", 1, 4, file), 4);
    assert_int_equal(fflush(file), 0);
    SSL_sendfile(server, fileno(file), 0, 4, 0);
    fclose(file);
    ERR_clear_error();
    return recv(kernel.sockets[1], buffer, sizeof(buffer), MSG_DONTWAIT) == 4;
}

/* Have a server set the option in the last moment. Return true if it sends a file before the end, and tell about the end. */
static bool sends_early(const minted *own, const minted *peer, bool in_log, bool *at_end)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, own), *client_ctx = tls_ctx(TLS1_3_VERSION, peer);
    int type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR;
    SSL *client, *server;
    BIO_METHOD *method;
    bool early;

    assert_true(SSL_CTX_set_ciphersuites(server_ctx, "TLS_AES_128_GCM_SHA256"));
    if (in_log)
        SSL_CTX_set_keylog_callback(server_ctx, enable_with_keys);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, kernel.sockets), 0);
    kernel.has_keys = false;
    tls_pair(client_ctx, server_ctx, &client, &server);
    method = wrap_bio(server, type, 0, control_kernel);
    kernel.is_full = !in_log;
    SSL_do_handshake(client);
    SSL_do_handshake(server);
    if (kernel.is_full)
        SSL_set_options(server, SSL_OP_ENABLE_KTLS);
    kernel.is_full = false;
    SSL_do_handshake(server);
    early = sends_file(server);
    SSL_do_handshake(client);
    SSL_do_handshake(server);
    *at_end = sends_file(server);
    SSL_free(client);
    SSL_free(server);
    BIO_meth_free(method);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    close(kernel.sockets[0]);
    close(kernel.sockets[1]);
    return early;
}

/* The option is set between two steps of ours. A friend is not cut off for that. */
static void test_the_kernel_has_keys_all_the_same(void **state)
{
    bool early, at_end;
    int in_log;

    for (in_log = 0; in_log < 2; in_log++) {
        early = sends_early(&world.site, NULL, in_log, &at_end);
        if (!kernel.has_keys) /* an OpenSSL without kTLS */
            skip();
        assert_true(early && at_end);
        assert_false(sends_early(&world.web, NULL, in_log, &at_end));
        assert_true(kernel.has_keys);
        assert_false(at_end);
        assert_false(sends_early(&world.web, &world.friend, in_log, &at_end));
        assert_true(at_end);
    }
}

/* ---- the BIOs of an SSL that is used again ---- */

static SSL *new_client(SSL_CTX *ctx, BIO *rbio, BIO *wbio)
{
    SSL *client = SSL_new(ctx);

    assert_non_null(client);
    assert_true(BIO_up_ref(rbio) && BIO_up_ref(wbio));
    SSL_set_bio(client, rbio, wbio);
    SSL_set_connect_state(client);
    return client;
}

static BIO *new_memory(void)
{
    BIO *bio = BIO_new(BIO_s_mem());

    assert_non_null(bio);
    BIO_set_mem_eof_return(bio, -1);
    return bio;
}

/* A server has refused a stranger, and is cleared. The next client is a friend. */
static void test_used_again(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.web),
            *stranger_ctx = tls_ctx(TLS1_3_VERSION, &world.stranger),
            *friend_ctx = tls_ctx(TLS1_3_VERSION, &world.friend);
    BIO *in = new_memory(), *out = new_memory();
    SSL *server = SSL_new(server_ctx), *client = new_client(stranger_ctx, out, in);
    tls_outcome outcome;
    char buffer[16];
    size_t len;

    assert_non_null(server);
    SSL_CTX_set_cert_verify_callback(server_ctx, accept_all, NULL);
    SSL_set_bio(server, in, out);
    SSL_set_accept_state(server);
    SSL_do_handshake(client);
    SSL_read_early_data(server, buffer, sizeof(buffer), &len);
    outcome = tls_talk(client, server);
    assert_refused("a stranger", &outcome);
    SSL_free(client);
    ERR_clear_error();

    BIO_reset(in);
    BIO_reset(out);
    assert_true(SSL_clear(server));
    client = new_client(friend_ctx, out, in);
    outcome = tls_talk(client, server);
    assert_talked("a friend", &outcome);
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(stranger_ctx);
    SSL_CTX_free(friend_ctx);
}

#define FREES_BIOS_FIRST 0x30200000UL /* before it tells of the end of an SSL */

static long count_free(BIO *bio, int op, const char *data, size_t len, int command, long number,
                       int result, size_t *done)
{
    destroyed_count += op == BIO_CB_FREE;
    return result;
}

/*
 * Give an SSL its two BIOs again, in the handshake and after SSL_clear. For libssl nothing has changed then, and it takes no
 * references. With a next handshake, that is one with a friend.
 */
static void give_again(const minted *peer, bool has_next)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.web),
            *peer_ctx = tls_ctx(TLS1_3_VERSION, peer),
            *friend_ctx = tls_ctx(TLS1_3_VERSION, &world.friend);
    BIO *in = new_memory(), *out = new_memory();
    SSL *server = SSL_new(server_ctx), *client = new_client(peer_ctx, out, in);
    tls_outcome outcome;
    char buffer[16];
    size_t len;

    assert_non_null(server);
    assert_true(BIO_up_ref(out)); /* to see that no other reference of ours is taken */
    BIO_set_callback_ex(out, count_free);
    destroyed_count = 0;
    SSL_set_bio(server, in, out);
    SSL_set_accept_state(server);
    SSL_do_handshake(client);
    SSL_read_early_data(server, buffer, sizeof(buffer), &len);
    SSL_set_bio(server, in, out);
    outcome = tls_talk(client, server);
    if (peer == &world.friend)
        assert_talked("a friend", &outcome);
    else
        assert_refused("a stranger", &outcome);
    SSL_free(client);
    ERR_clear_error();
    BIO_reset(in);
    BIO_reset(out);
    assert_true(SSL_clear(server));
    SSL_set_bio(server, in, out);
    client = new_client(friend_ctx, out, in);
    if (has_next) {
        outcome = tls_talk(client, server);
        assert_talked("a friend afterwards", &outcome);
    }
    SSL_free(client);
    SSL_free(server);
    assert_int_equal(destroyed_count, 0);
    BIO_free(out);
    assert_int_equal(destroyed_count, 1);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(peer_ctx);
    SSL_CTX_free(friend_ctx);
}

static void test_the_same_again(void **state)
{
    give_again(&world.friend, true);
    give_again(&world.stranger, true);
    if (OpenSSL_version_num() < FREES_BIOS_FIRST)
        give_again(&world.stranger, false);
}

/* Likewise with one BIO for both directions. libssl takes a reference then. */
static void test_the_same_one_again(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.web),
            *friend_ctx = tls_ctx(TLS1_3_VERSION, &world.friend);
    SSL *client, *server;
    BIO_METHOD *method;
    tls_outcome outcome;
    char buffer[16];
    size_t len;

    tls_pair(friend_ctx, server_ctx, &client, &server);
    method = wrap_bio(server, BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, 0, control);
    destroyed_count = 0;
    SSL_do_handshake(client);
    SSL_read_early_data(server, buffer, sizeof(buffer), &len);
    SSL_set_bio(server, SSL_get_rbio(server), SSL_get_rbio(server));
    outcome = tls_talk(client, server);
    assert_talked("a friend", &outcome);
    assert_int_equal(destroyed_count, 0);
    SSL_free(client);
    SSL_free(server);
    assert_int_equal(destroyed_count, 1);
    BIO_meth_free(method);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(friend_ctx);
}

/* An SSL that has refused a stranger gets the BIO of a friend. The other one is closed. */
static void test_another_bio(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.web),
            *stranger_ctx = tls_ctx(TLS1_3_VERSION, &world.stranger),
            *friend_ctx = tls_ctx(TLS1_3_VERSION, &world.friend);
    SSL *stranger, *friend, *server, *other;
    BIO_METHOD *method;
    tls_outcome outcome;
    char buffer[16];
    size_t len;

    tls_pair(stranger_ctx, server_ctx, &stranger, &server);
    method = wrap_bio(server, BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, 0, control);
    SSL_do_handshake(stranger);
    SSL_read_early_data(server, buffer, sizeof(buffer), &len);
    outcome = tls_talk(stranger, server);
    assert_refused("a stranger", &outcome);
    destroyed_count = 0;

    assert_true(SSL_clear(server));
    tls_pair(friend_ctx, server_ctx, &friend, &other);
    assert_true(BIO_up_ref(SSL_get_wbio(other)));
    SSL_set_bio(server, SSL_get_wbio(other), SSL_get_wbio(other));
    outcome = tls_talk(friend, server);
    assert_talked("a friend", &outcome);
    assert_int_equal(destroyed_count, 1);
    SSL_free(stranger);
    SSL_free(friend);
    SSL_free(other);
    SSL_free(server);
    BIO_meth_free(method);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(stranger_ctx);
    SSL_CTX_free(friend_ctx);
}

/* An SSL that has refused a stranger is given no BIO to write to. Its last one gets nothing of the next handshake. */
static void test_no_bio(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.web),
            *stranger_ctx = tls_ctx(TLS1_3_VERSION, &world.stranger),
            *friend_ctx = tls_ctx(TLS1_3_VERSION, &world.friend);
    BIO *in = new_memory(), *out = new_memory();
    SSL *server = SSL_new(server_ctx), *client = new_client(stranger_ctx, out, in);
    tls_outcome outcome;
    char buffer[16];
    size_t len;

    assert_non_null(server);
    assert_true(BIO_up_ref(out));
    BIO_set_callback_ex(out, count_free);
    destroyed_count = 0;
    SSL_set_bio(server, in, out);
    SSL_set_accept_state(server);
    SSL_do_handshake(client);
    SSL_read_early_data(server, buffer, sizeof(buffer), &len);
    outcome = tls_talk(client, server);
    assert_refused("a stranger", &outcome);
    SSL_free(client);

    BIO_reset(in);
    BIO_reset(out);
    assert_true(SSL_clear(server));
    SSL_set_bio(server, in, NULL);
    client = new_client(friend_ctx, out, in);
    SSL_do_handshake(client);
    assert_true(BIO_ctrl_pending(in) > 0);
    assert_int_not_equal(SSL_do_handshake(server), 1);
    assert_int_equal(BIO_ctrl_pending(in), 0);
    assert_int_equal(BIO_ctrl_pending(out), 0);
    ERR_clear_error();
    SSL_free(client);
    SSL_free(server);
    assert_int_equal(destroyed_count, 0);
    BIO_free(out);
    assert_int_equal(destroyed_count, 1);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(stranger_ctx);
    SSL_CTX_free(friend_ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_bio_like_the_wall, tls_reset),
        cmocka_unit_test_setup(test_the_kernel_gets_no_keys, tls_reset),
        cmocka_unit_test_setup(test_the_kernel_has_keys_all_the_same, tls_reset),
        cmocka_unit_test_setup(test_used_again, tls_reset),
        cmocka_unit_test_setup(test_the_same_again, tls_reset),
        cmocka_unit_test_setup(test_the_same_one_again, tls_reset),
        cmocka_unit_test_setup(test_another_bio, tls_reset),
        cmocka_unit_test_setup(test_no_bio, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
