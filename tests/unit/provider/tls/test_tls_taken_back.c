/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verify mode is taken back in the middle of a server's handshake. Any of our callbacks may be
 * displaced, but not all. Data flows where the peer is allowed, and nowhere else.
 */
#include "unit.h"

#include <string.h>

#include <openssl/err.h>

#include "hostile.h"
#include "tls.h"

/* ---- our callbacks, and those that displace them ---- */

/* ---- a key that no certificate stands for ---- */

/* ---- where the mode is taken back ---- */

static unsigned int displaced_inside;
static int calls, only_call; /* the call that takes it back, or 0 for all */

static void take_back(SSL *ssl)
{
    calls++;
    if (only_call != 0 && calls != only_call)
        return;
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    SSL_set_psk_server_callback(ssl, hostile_psk_server);
    hostile_displace_on_ssl(ssl, displaced_inside);
}

static int at_name(SSL *ssl, int *alert, void *arg)
{
    take_back(ssl);
    return SSL_TLSEXT_ERR_OK;
}

static void by_name(SSL_CTX *ctx)
{
    SSL_CTX_set_tlsext_servername_callback(ctx, at_name);
}

static int at_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned int in_len, void *arg)
{
    take_back(ssl);
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static void by_alpn(SSL_CTX *ctx)
{
    SSL_CTX_set_alpn_select_cb(ctx, at_alpn, NULL);
}

static int at_status(SSL *ssl, void *arg)
{
    take_back(ssl);
    return SSL_TLSEXT_ERR_NOACK;
}

static void by_status(SSL_CTX *ctx)
{
    SSL_CTX_set_tlsext_status_cb(ctx, at_status);
}

#define EXTENSION 1000 /* of both sides */
#define IN_MESSAGES \
    (SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_2_SERVER_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS)

static int add_nothing(SSL *ssl, unsigned int type, unsigned int context, const unsigned char **out,
                       size_t *out_len, X509 *cert, size_t index, int *alert, void *arg)
{
    return 1;
}

static int at_added(SSL *ssl, unsigned int type, unsigned int context, const unsigned char **out,
                    size_t *out_len, X509 *cert, size_t index, int *alert, void *arg)
{
    take_back(ssl);
    return 1;
}

static int at_parsed(SSL *ssl, unsigned int type, unsigned int context, const unsigned char *in,
                     size_t in_len, X509 *cert, size_t index, int *alert, void *arg)
{
    take_back(ssl);
    return 1;
}

static void by_added_extension(SSL_CTX *ctx)
{
    assert_true(
        SSL_CTX_add_custom_ext(ctx, EXTENSION, IN_MESSAGES, at_added, NULL, NULL, NULL, NULL));
}

static void by_parsed_extension(SSL_CTX *ctx)
{
    assert_true(SSL_CTX_add_custom_ext(ctx, EXTENSION, IN_MESSAGES, add_nothing, NULL, NULL,
                                       at_parsed, NULL));
}

static void at_key(const SSL *ssl, const char *line)
{
    take_back((SSL *)ssl);
}

static void by_key(SSL_CTX *ctx)
{
    SSL_CTX_set_keylog_callback(ctx, at_key);
}

static int at_certificate(SSL *ssl, void *arg)
{
    take_back(ssl);
    return 1;
}

static void by_certificate(SSL_CTX *ctx)
{
    SSL_CTX_set_cert_cb(ctx, at_certificate, NULL);
}

static const struct {
    const char *name;
    void (*prepare)(SSL_CTX *ctx);
    int only_call;
} places[] = {
    {"servername", by_name, 0},
    {"ALPN", by_alpn, 0},
    {"status", by_status, 0},
    {"extension added", by_added_extension, 0},
    {"extension parsed", by_parsed_extension, 0},
    {"keylog", by_key, 0},
    {"keylog, once", by_key, 1},
    {"keylog, once and later", by_key, 3},
    {"certificate", by_certificate, 0},
};

#define PLACES (sizeof(places) / sizeof(places[0]))

/* ---- peers ---- */

static const struct {
    const char *name;
    const minted *certificate;
    bool denied, has_key, is_allowed;
} peers[] = {
    {"nobody", NULL, false, false, false},
    {"self-signed", &world.site, false, false, false},
    {"of another CA", &world.stranger, false, false, false},
    {"denied", &world.friend, true, false, false},
    {"with a key", NULL, false, true, false},
    {"allowed", &world.friend, false, false, true},
};

#define PEERS (sizeof(peers) / sizeof(peers[0]))

enum where { ON_CTX, ON_SSL, INSIDE, WHERE_COUNT };

static const char *const where_names[] = {"on the context", "on the SSL", "in the handshake"};

typedef struct attempt {
    int version;
    unsigned int displaced;
    enum where where;
    size_t place, peer;
} attempt;

static SSL_CTX *make_server(const attempt *a)
{
    SSL_CTX *ctx = tls_ctx(a->version, &world.web);

    SSL_CTX_set_psk_server_callback(ctx, hostile_psk_server);
    if (a->where == ON_CTX)
        hostile_displace(ctx, a->displaced);
    else
        hostile_displace(ctx, a->displaced & HOSTILE_CLIENT_HELLO);
    displaced_inside = a->where == INSIDE ? a->displaced : 0;
    places[a->place].prepare(ctx);
    only_call = places[a->place].only_call;
    calls = 0;
    return ctx;
}

static SSL_CTX *make_client(const attempt *a)
{
    SSL_CTX *ctx = tls_ctx(a->version, peers[a->peer].certificate);

    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\002h2", 3);
    SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp);
    assert_true(
        SSL_CTX_add_custom_ext(ctx, EXTENSION, IN_MESSAGES, add_nothing, NULL, NULL, NULL, NULL));
    if (peers[a->peer].has_key) {
        assert_true(SSL_CTX_set_cipher_list(ctx, "PSK"));
        SSL_CTX_set_psk_client_callback(ctx, hostile_psk_client);
    }
    return ctx;
}

/*
 * Return true where the peer is allowed and libssl can verify it. Without that mode, a TLS 1.2 server
 * that makes its ServerHello keeps nothing for the check of a client's signature. libssl then refuses
 * every client.
 */
static bool is_let_in(const attempt *a)
{
    bool is_too_late =
        a->version == TLS1_2_VERSION && places[a->place].prepare == by_added_extension;

    return peers[a->peer].is_allowed && !is_too_late;
}

static int failures, attempts;

/* Try one, and note a failure: one run tells all attempts that are open. */
static void try(const attempt *a)
{
    SSL_CTX *server_ctx = make_server(a), *client_ctx = make_client(a);
    bool allowed = is_let_in(a);
    SSL *client, *server;
    tls_outcome outcome;

    world.agent.allow = !peers[a->peer].denied;
    tls_pair(client_ctx, server_ctx, &client, &server);
    SSL_set_tlsext_host_name(client, "somewhere.example");
    if (a->where == ON_SSL)
        hostile_displace_on_ssl(server, a->displaced);
    outcome = attempts++ % 2 == 0 ? tls_talk(client, server) : tls_talk_at_once(client, server);
    if (outcome.server_got != allowed || outcome.client_got != allowed) {
        failures++;
        print_error("%s, displaced %x %s, by %s, %s: %s\nclient: %s\nserver: %s\n",
                    a->version == TLS1_2_VERSION ? "TLS 1.2" : "TLS 1.3", a->displaced,
                    where_names[a->where], places[a->place].name, peers[a->peer].name,
                    allowed ? "not let in" : "let in", outcome.client_errors,
                    outcome.server_errors);
    }
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
}

/* Every set that leaves one of ours, every place, every peer. */
static void test_mode_taken_back(void **state)
{
    attempt a;
    size_t v;

    failures = attempts = 0;
    for (v = 0; v < 2; v++) {
        a.version = tls_versions[v];
        for (a.displaced = 0; a.displaced < HOSTILE_ALL; a.displaced++)
            for (a.place = 0; a.place < PLACES; a.place++)
                for (a.where = 0; a.where < WHERE_COUNT; a.where++)
                    /* On the context every peer comes, elsewhere the first and the last. */
                    for (a.peer = 0; a.peer < PEERS; a.peer += a.where == ON_CTX ? 1 : PEERS - 1)
                        try(&a);
    }
    print_message("%d attempts, %d went wrong\n", attempts, failures);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_mode_taken_back, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
