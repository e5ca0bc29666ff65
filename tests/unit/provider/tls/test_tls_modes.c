/* SPDX-License-Identifier: Apache-2.0 */
/* Modes of an application at either end: data flows if the peer is allowed, and not otherwise. */
#include "unit.h"

#include <stdio.h>

#include "tls.h"

static void read_ahead(SSL_CTX *ctx)
{
    SSL_CTX_set_read_ahead(ctx, 1);
}

static void read_far_ahead(SSL_CTX *ctx)
{
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, 1 << 16);
    SSL_CTX_set_mode(ctx, SSL_MODE_AUTO_RETRY);
}

static void as_jobs(SSL_CTX *ctx)
{
    SSL_CTX_set_mode(ctx, SSL_MODE_ASYNC);
}

static void short_records(SSL_CTX *ctx)
{
    SSL_CTX_set_max_send_fragment(ctx, 512);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
}

static void quietly(SSL_CTX *ctx)
{
    SSL_CTX_set_quiet_shutdown(ctx, 1);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
}

static const struct {
    const char *name;
    void (*apply)(SSL_CTX *ctx);
} modes[] = {
    {"read ahead", read_ahead}, {"read far ahead", read_far_ahead},
    {"as jobs", as_jobs},       {"short records", short_records},
    {"quietly", quietly},
};

static const struct {
    const char *name;
    const minted *client, *server;
    bool denied, talks;
} pairs[] = {
    {"allowed", &world.friend, &world.web, false, true},
    {"no certificate", NULL, &world.web, false, false},
    {"foreign client", &world.stranger, &world.web, false, false},
    {"denied", &world.friend, &world.web, true, false},
    {"impostor", &world.friend, &world.stranger, false, false},
    {"ordinary server", &world.friend, &world.site, false, false},
    {"ordinary connection", NULL, &world.site, false, true},
};

static void try(int version, size_t mode, size_t pair, tls_outcome (*by)(SSL *, SSL *))
{
    SSL_CTX *client_ctx = tls_ctx(version, pairs[pair].client),
            *server_ctx = tls_ctx(version, pairs[pair].server);
    SSL *client, *server;
    tls_outcome outcome;
    char name[64];

    modes[mode].apply(client_ctx);
    modes[mode].apply(server_ctx);
    world.agent.allow = !pairs[pair].denied;
    tls_pair(client_ctx, server_ctx, &client, &server);
    outcome = by(client, server);
    snprintf(name, sizeof(name), "%s, %s", modes[mode].name, pairs[pair].name);
    if (pairs[pair].talks)
        assert_talked(name, &outcome);
    else
        assert_refused(name, &outcome);
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
}

static void test_modes(void **state)
{
    size_t v, mode, pair;

    for (v = 0; v < 2; v++) {
        for (mode = 0; mode < sizeof(modes) / sizeof(modes[0]); mode++) {
            for (pair = 0; pair < sizeof(pairs) / sizeof(pairs[0]); pair++) {
                try(tls_versions[v], mode, pair, tls_talk);
                try(tls_versions[v], mode, pair, tls_talk_at_once);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_modes, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
