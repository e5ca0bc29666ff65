/* SPDX-License-Identifier: Apache-2.0 */
/* A process without random numbers. A session context that is not random could be the one of an earlier session. */
#include "unit.h"

#include <openssl/rand.h>

#include "tls.h"

static bool fails;

/* Stand in for libcrypto's, for the module. libssl asks by another name. */
__attribute__((visibility("default"))) int RAND_bytes(unsigned char *buffer, int length)
{
    return fails ? 0 : RAND_bytes_ex(NULL, buffer, (size_t)length, 0);
}

static int give_site(SSL *ssl, void *arg)
{
    return SSL_use_certificate(ssl, world.site.cert) == 1
           && SSL_use_PrivateKey(ssl, world.site.key) == 1;
}

/* Let an allowed client talk to a server. Without a certificate, the server is given an ordinary one in the handshake. */
static tls_outcome serve(int version, const minted *own)
{
    OSSL_LIB_CTX *libctx;
    SSL_CTX *server_ctx = tls_ctx(version, own);
    SSL_CTX *client_ctx = tls_ctx_elsewhere(version, &world.friend, &libctx);
    SSL *client, *server;
    tls_outcome outcome;

    if (own == NULL)
        SSL_CTX_set_cert_cb(server_ctx, give_site, NULL);
    tls_pair_with(client_ctx, server_ctx, libctx, true, &client, &server);
    outcome = tls_talk(client, server);
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    OSSL_LIB_CTX_free(libctx);
    return outcome;
}

/* Such a server is stopped before it has its client verified, or goes on without a certificate of the mesh. */
static void test_servers(void **state)
{
    const minted *const own[] = {&world.web, NULL};
    tls_outcome outcome;
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < 2; i++) {
            fails = false;
            outcome = serve(tls_versions[v], own[i]);
            assert_talked("with random numbers", &outcome);
            fails = true;
            world.agent.questions = 0;
            outcome = serve(tls_versions[v], own[i]);
            assert_refused("without random numbers", &outcome);
            assert_int_equal(world.agent.questions, 0);
        }
    }
}

/* A server that is left alone needs no random number of ours. */
static void test_an_ordinary_server(void **state)
{
    size_t v;

    fails = true;
    for (v = 0; v < 2; v++) {
        tls_outcome outcome = serve(tls_versions[v], &world.site);

        assert_talked("an ordinary server", &outcome);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_servers, tls_reset),
        cmocka_unit_test_setup(test_an_ordinary_server, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
