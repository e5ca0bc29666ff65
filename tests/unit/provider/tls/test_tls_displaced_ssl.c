/* SPDX-License-Identifier: Apache-2.0 */
/* Applications that set the same things as we do, on the SSL that they have made. */
#include "unit.h"

#include "tls.h"

static int allow_all(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                     void *ex)
{
    return 1;
}

static void ignore_message(int write_p, int version, int content_type, const void *buf, size_t len,
                           SSL *ssl, void *arg)
{
}

static int resume_anything(SSL *ssl, int is_forward_secure)
{
    return 0;
}

static int accept_all(int ok, X509_STORE_CTX *ctx)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static void displace_security_on(SSL *ssl)
{
    SSL_set_security_callback(ssl, allow_all);
}

static void displace_message_on(SSL *ssl)
{
    SSL_set_msg_callback(ssl, ignore_message);
}

static void displace_not_resumable_on(SSL *ssl)
{
    SSL_set_not_resumable_session_callback(ssl, resume_anything);
}

static void accept_all_on(SSL *ssl)
{
    SSL_set_verify(ssl, SSL_VERIFY_PEER, accept_all);
}

static void verify_nothing_on(SSL *ssl)
{
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
}

static void verify_later_on(SSL *ssl)
{
    SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_POST_HANDSHAKE, NULL);
}

static void all_on(SSL *ssl)
{
    displace_security_on(ssl);
    displace_message_on(ssl);
    displace_not_resumable_on(ssl);
    verify_nothing_on(ssl);
}

#define ROW(function)       \
    {                       \
#function, function \
    }

static const struct {
    const char *name;
    void (*apply)(SSL *ssl);
} ssl_displacements[] = {
    ROW(displace_security_on),
    ROW(displace_message_on),
    ROW(displace_not_resumable_on),
    ROW(accept_all_on),
    ROW(verify_nothing_on),
    ROW(verify_later_on),
    ROW(all_on),
};

static int failures;

/* Note a failure, and go on: one run tells all rows that are open. */
static void note(bool ok, int version, const char *row, const char *what,
                 const tls_outcome *outcome)
{
    if (ok)
        return;
    failures++;
    print_error("%s, %s: %s\nclient: %s\nserver: %s\n", row,
                version == TLS1_2_VERSION ? "TLS 1.2" : "TLS 1.3", what, outcome->client_errors,
                outcome->server_errors);
}

static bool is_silent(const tls_outcome *outcome)
{
    return !outcome->server_got && !outcome->client_got;
}

static bool has_talked(const tls_outcome *outcome)
{
    return outcome->server_got && outcome->client_got;
}

static tls_outcome talk_on_ssl(int version, const minted *client_cert, const minted *server_cert,
                               size_t row, bool on_client)
{
    SSL_CTX *server_ctx = tls_ctx(version, server_cert);
    SSL_CTX *client_ctx = tls_ctx(version, client_cert);
    SSL *client, *server;
    tls_outcome outcome;

    tls_pair(client_ctx, server_ctx, &client, &server);
    ssl_displacements[row].apply(on_client ? client : server);
    outcome = tls_talk(client, server);
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

static void test_on_the_ssl(void **state)
{
    size_t i, v;

    failures = 0;
    for (i = 0; i < sizeof(ssl_displacements) / sizeof(ssl_displacements[0]); i++) {
        for (v = 0; v < 2; v++) {
            int version = tls_versions[v];
            const char *name = ssl_displacements[i].name;
            tls_outcome outcome = talk_on_ssl(version, NULL, &world.web, i, false);

            note(is_silent(&outcome), version, name, "a client without a certificate got in",
                 &outcome);
            outcome = talk_on_ssl(version, &world.stranger, &world.web, i, false);
            note(is_silent(&outcome), version, name, "a stranger got in", &outcome);
            outcome = talk_on_ssl(version, &world.friend, &world.stranger, i, true);
            note(is_silent(&outcome), version, name, "an impostor was talked to", &outcome);
            outcome = talk_on_ssl(version, NULL, &world.site, i, false);
            note(has_talked(&outcome), version, name, "an ordinary server", &outcome);
        }
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_on_the_ssl, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
