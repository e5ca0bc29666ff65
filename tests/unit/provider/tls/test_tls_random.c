/* SPDX-License-Identifier: Apache-2.0 */
/* A process without random numbers. A session context that is not random could be the one of an earlier session. */
#include "unit.h"

#include <openssl/rand.h>

#include "hostile.h"
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
    SSL_CTX *server_ctx = tls_ctx(version, own);

    if (own == NULL)
        SSL_CTX_set_cert_cb(server_ctx, give_site, NULL);
    return tls_serve(server_ctx, version, &world.friend);
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

/* ---- an unauthorized peer, where libssl asks about no signature ---- */

static int accept_all(X509_STORE_CTX *ctx, void *arg)
{
    return 1;
}

/* Overwrite the master secret, as a peer does that knows what stands there without random numbers. */
static void guess_secret(const SSL *ssl, int where, int value)
{
    static const unsigned char zeros[SSL_MAX_MASTER_KEY_LENGTH];

    if ((where & SSL_CB_LOOP) != 0
        && strcmp(SSL_state_string(ssl), SSL_is_server(ssl) ? "TRCKE" : "TWCKE") == 0)
        SSL_SESSION_set1_master_key(SSL_get_session(ssl), zeros, sizeof(zeros));
}

/* Return true where the handshake ends well for our side, which verifies by itself. */
static bool ends_well(int version, bool is_client)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    SSL_CTX *ours = tls_ctx(version, is_client ? &world.friend : &world.web),
            *theirs = tls_ctx_in(libctx, version, &world.site_rsa);
    SSL *client, *server;
    tls_outcome outcome;

    hostile_displace(ours, HOSTILE_SECURITY);
    SSL_CTX_set_cert_verify_callback(ours, accept_all, NULL);
    SSL_CTX_set_info_callback(theirs, guess_secret);
    if (version == TLS1_1_VERSION) {
        SSL_CTX_set_security_level(ours, 0);
        SSL_CTX_set_security_level(theirs, 0);
    } else {
        assert_true(SSL_CTX_set_cipher_list(theirs, "kRSA"));
    }
    tls_pair_with(is_client ? ours : theirs, is_client ? theirs : ours, libctx, !is_client, &client,
                  &server);
    outcome = tls_talk(client, server);
    assert_refused("a peer that guesses", &outcome);
    tls_close(client, server);
    SSL_CTX_free(ours);
    SSL_CTX_free(theirs);
    OSSL_LIB_CTX_free(libctx);
    return is_client ? outcome.client_done : outcome.server_done;
}

/* It does not know the keys, either. */
static void test_no_known_keys(void **state)
{
    fails = true;
    assert_false(ends_well(TLS1_2_VERSION, true));
    assert_false(ends_well(TLS1_1_VERSION, true));
    assert_false(ends_well(TLS1_1_VERSION, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_servers, tls_reset),
        cmocka_unit_test_setup(test_an_ordinary_server, tls_reset),
        cmocka_unit_test_setup(test_no_known_keys, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
