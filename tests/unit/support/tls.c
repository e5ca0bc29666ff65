/* SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"

#include "unit.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/store.h>
#include <openssl/x509v3.h>

#define ROUNDS 40 /* turns of each side; a handshake takes some six */

tls_world world;
const int tls_versions[2] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* ---- the world ---- */

int tls_set_up(void **state)
{
    return tls_set_up_as("");
}

int tls_set_up_as_web(void **state)
{
    return tls_set_up_as("service = web");
}

int tls_set_up_as(const char *more)
{
    char settings[512];

    fake_agent_start(&world.agent);
    /* Long enough for a busy machine: no test waits for it to pass. */
    snprintf(settings, sizeof(settings),
             "address = %s\nconnect_timeout = 60s\nauthorize_timeout = 60s\n"
             "request_timeout = 60s\n%s",
             world.agent.address, more);
    world.config = config_file_write(settings, NULL);
    setenv("OPENSSL_CONF", world.config.path, 1);
    /* libcrypto reads it at its first use, which is here. */
    world.ca = mint_ca(TD);
    world.foreign_ca = mint_ca(TD);
    world.web = mint_leaf(&world.ca, TD, "web");
    world.friend = mint_leaf(&world.ca, TD, "friend");
    world.stranger = mint_leaf(&world.foreign_ca, TD, "friend");
    world.site = mint(NULL, (mint_order){.subject = "site", .names = {{GEN_DNS, "site", 0}}});
    world.site_rsa = mint(NULL, (mint_order){.subject = "site", .rsa = true});
    return tls_reset(NULL);
}

int tls_reset(void **state)
{
    ERR_clear_error();
    fake_agent_reset(&world.agent, TD, &world.ca, NULL);
    fake_agent_set_leaf(&world.agent, &world.web);
    return 0;
}

int tls_tear_down(void **state)
{
    minted_free(&world.ca);
    minted_free(&world.foreign_ca);
    minted_free(&world.web);
    minted_free(&world.friend);
    minted_free(&world.stranger);
    minted_free(&world.site);
    minted_free(&world.site_rsa);
    config_file_remove(&world.config);
    fake_agent_stop(&world.agent);
    return 0;
}

/* ---- contexts ---- */

/*
 * Compress the certificate of a context beforehand, as a server may from OpenSSL 3.2 on. libssl sends the
 * compressed bytes without a call of the security callback.
 */
static void compress_certificates(SSL_CTX *ctx)
{
    int (*compress)(SSL_CTX * ctx, int algorithm);
    void *symbol = dlsym(RTLD_DEFAULT, "SSL_CTX_compress_certs");

    memcpy(&compress, &symbol, sizeof(compress));
    if (symbol != NULL)
        compress(ctx, 0); /* by each algorithm that there is; none may be */
}

void tls_use(SSL_CTX *ctx, const minted *own)
{
    assert_int_equal(SSL_CTX_use_certificate(ctx, own->cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, own->key), 1);
    compress_certificates(ctx);
}

static SSL_CTX *set_up_ctx(SSL_CTX *ctx, int version, const minted *own)
{
    assert_non_null(ctx);
    assert_true(SSL_CTX_set_min_proto_version(ctx, version));
    assert_true(SSL_CTX_set_max_proto_version(ctx, version));
    if (own != NULL)
        tls_use(ctx, own);
    return ctx;
}

SSL_CTX *tls_ctx(int version, const minted *own)
{
    return set_up_ctx(SSL_CTX_new(TLS_method()), version, own);
}

SSL_CTX *tls_ctx_in(OSSL_LIB_CTX *libctx, int version, const minted *own)
{
    OSSL_LIB_CTX *usual = OSSL_LIB_CTX_set0_default(libctx);
    SSL_CTX *ctx = set_up_ctx(SSL_CTX_new(TLS_method()), version, own);

    OSSL_LIB_CTX_set0_default(usual);
    return ctx;
}

SSL_CTX *tls_ctx_elsewhere(int version, const minted *own, OSSL_LIB_CTX **libctx)
{
    *libctx = OSSL_LIB_CTX_new();
    assert_non_null(*libctx);
    return tls_ctx_in(*libctx, version, own);
}

SSL_CTX *tls_ctx_by_uri(const char *uri, OSSL_LIB_CTX *libctx)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, libctx, NULL, NULL, NULL, NULL, NULL, NULL);
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    minted own = {0};

    assert_non_null(store);
    assert_non_null(ctx);
    /* In one go: a leaf that is asked for twice may have been renewed in between. */
    while (!OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        assert_non_null(info);
        if (OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
            own.key = OSSL_STORE_INFO_get1_PKEY(info);
        else if (own.cert == NULL)
            own.cert = OSSL_STORE_INFO_get1_CERT(info);
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    tls_use(ctx, &own);
    minted_free(&own);
    return ctx;
}

/* ---- talking ---- */

typedef struct side {
    SSL *ssl;
    const char *line; /* its line of data */
    bool at_once;     /* does not wait for the end of the handshake */
    bool done, failed, written, got;
    char *errors;
    size_t errors_size;
} side;

void tls_take_errors(char *errors, size_t size)
{
    unsigned long code;
    const char *data;
    int flags;

    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        const char *reason = ERR_reason_error_string(code);
        size_t len = strlen(errors);

        snprintf(errors + len, size - len, "%s: %s\n", reason == NULL ? "" : reason,
                 (flags & ERR_TXT_STRING) != 0 ? data : "");
    }
}

static bool is_failure(const side *one, int result)
{
    int error = SSL_get_error(one->ssl, result);

    return error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL || error == SSL_ERROR_ZERO_RETURN;
}

static void shake_hands(side *one)
{
    int result = SSL_do_handshake(one->ssl);

    one->done = result == 1;
    one->failed = result != 1 && is_failure(one, result);
}

/* Go on writing and reading for as long as possible, like a careless application. */
static void exchange_lines(side *one)
{
    char buffer[64];
    int result;

    if (!one->written) {
        result = SSL_write(one->ssl, one->line, (int)strlen(one->line));
        one->written = result > 0;
        one->failed |= result <= 0 && is_failure(one, result);
    }
    result = SSL_read(one->ssl, buffer, sizeof(buffer));
    one->got |= result > 0;
    one->failed |= result <= 0 && is_failure(one, result);
}

static void take_turn(side *one)
{
    if (one->failed)
        return;
    ERR_clear_error();
    if (!one->done && !one->at_once)
        shake_hands(one);
    if (one->done || one->at_once)
        exchange_lines(one);
    one->done |= SSL_is_init_finished(one->ssl) == 1;
    tls_take_errors(one->errors, one->errors_size);
}

static tls_outcome talk(SSL *client, SSL *server, bool at_once)
{
    tls_outcome outcome = {0};
    side c = {.ssl = client,
              .at_once = at_once,
              .line = "ping",
              .errors = outcome.client_errors,
              .errors_size = sizeof(outcome.client_errors)};
    side s = {.ssl = server,
              .at_once = at_once,
              .line = "pong",
              .errors = outcome.server_errors,
              .errors_size = sizeof(outcome.server_errors)};
    int round;

    for (round = 0; round < ROUNDS; round++) {
        take_turn(&c);
        take_turn(&s);
    }
    outcome.client_done = c.done;
    outcome.server_done = s.done;
    outcome.client_got = c.got;
    outcome.server_got = s.got;
    outcome.reused = SSL_session_reused(client) || SSL_session_reused(server);
    return outcome;
}

tls_outcome tls_talk(SSL *client, SSL *server)
{
    return talk(client, server, false);
}

tls_outcome tls_talk_at_once(SSL *client, SSL *server)
{
    return talk(client, server, true);
}

/* Make an SSL, in this library context unless it is NULL. */
static SSL *new_ssl(SSL_CTX *ctx, OSSL_LIB_CTX *libctx, BIO *bio)
{
    OSSL_LIB_CTX *usual = libctx == NULL ? NULL : OSSL_LIB_CTX_set0_default(libctx);
    SSL *ssl = SSL_new(ctx);

    assert_non_null(ssl);
    SSL_set_bio(ssl, bio, bio);
    if (libctx != NULL)
        OSSL_LIB_CTX_set0_default(usual);
    return ssl;
}

void tls_pair_with(SSL_CTX *client_ctx, SSL_CTX *server_ctx, OSSL_LIB_CTX *elsewhere,
                   bool client_is_elsewhere, SSL **client, SSL **server)
{
    BIO *client_bio, *server_bio;

    assert_true(BIO_new_bio_pair(&client_bio, 1 << 17, &server_bio, 1 << 17));
    *client = new_ssl(client_ctx, client_is_elsewhere ? elsewhere : NULL, client_bio);
    *server = new_ssl(server_ctx, client_is_elsewhere ? NULL : elsewhere, server_bio);
    SSL_set_connect_state(*client);
    SSL_set_accept_state(*server);
}

tls_outcome tls_serve(SSL_CTX *server_ctx, int version, const minted *client_identity)
{
    OSSL_LIB_CTX *libctx;
    SSL_CTX *client_ctx = tls_ctx_elsewhere(version, client_identity, &libctx);
    SSL *client, *server;
    tls_outcome outcome;

    tls_pair_with(client_ctx, server_ctx, libctx, true, &client, &server);
    outcome = tls_talk(client, server);
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    OSSL_LIB_CTX_free(libctx);
    return outcome;
}

void tls_pair(SSL_CTX *client_ctx, SSL_CTX *server_ctx, SSL **client, SSL **server)
{
    tls_pair_with(client_ctx, server_ctx, NULL, false, client, server);
}

void tls_close(SSL *client, SSL *server)
{
    int i;

    for (i = 0; i < 2; i++) {
        if (SSL_is_init_finished(client))
            SSL_shutdown(client);
        if (SSL_is_init_finished(server))
            SSL_shutdown(server);
    }
    SSL_free(client);
    SSL_free(server);
    ERR_clear_error();
}

tls_outcome tls_connect(SSL_CTX *client_ctx, SSL_CTX *server_ctx)
{
    SSL *client, *server;
    tls_outcome outcome;

    tls_pair(client_ctx, server_ctx, &client, &server);
    outcome = tls_talk(client, server);
    tls_close(client, server);
    return outcome;
}

void assert_talked(const char *name, const tls_outcome *outcome)
{
    if (!outcome->client_done || !outcome->server_done || !outcome->server_got
        || !outcome->client_got)
        fail_msg("%s: no connection\nclient: %s\nserver: %s", name, outcome->client_errors,
                 outcome->server_errors);
}

void assert_refused(const char *name, const tls_outcome *outcome)
{
    if (outcome->server_got || outcome->client_got)
        fail_msg("%s: data came through to the %s\nclient: %s\nserver: %s", name,
                 outcome->server_got ? "server" : "client", outcome->client_errors,
                 outcome->server_errors);
}
