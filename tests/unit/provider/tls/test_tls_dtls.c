/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS 1.2, over UDP on loopback: governed like TLS. */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "hostile.h"
#include "tls.h"

#define MTU 1400

static SSL_CTX *dtls_ctx(const minted *own)
{
    SSL_CTX *ctx = SSL_CTX_new(DTLS_method());

    assert_non_null(ctx);
    assert_true(SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION));
    if (own != NULL)
        tls_use(ctx, own);
    return ctx;
}

/* Make two sockets that are connected to each other. */
static void connect_sockets(int fds[2])
{
    struct sockaddr_in address[2];
    socklen_t len = sizeof(address[0]);
    int i;

    for (i = 0; i < 2; i++) {
        address[i] =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
        assert_int_equal(bind(fds[i], (struct sockaddr *)&address[i], len), 0);
        assert_int_equal(getsockname(fds[i], (struct sockaddr *)&address[i], &len), 0);
    }
    for (i = 0; i < 2; i++)
        assert_int_equal(connect(fds[i], (struct sockaddr *)&address[!i], len), 0);
}

static SSL *make_ssl(SSL_CTX *ctx, int fd)
{
    SSL *ssl = SSL_new(ctx);
    BIO *bio = BIO_new_dgram(fd, BIO_NOCLOSE);
    struct sockaddr_in peer;
    socklen_t len = sizeof(peer);

    assert_non_null(ssl);
    assert_non_null(bio);
    assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
    BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, &peer);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU);
    DTLS_set_link_mtu(ssl, MTU);
    return ssl;
}

/* Let two of these contexts talk, the second time with the session of the first. */
static tls_outcome meet(SSL_CTX *client_ctx, SSL_CTX *server_ctx, SSL_SESSION **session)
{
    SSL *client, *server;
    tls_outcome outcome;
    int fds[2];

    connect_sockets(fds);
    client = make_ssl(client_ctx, fds[0]);
    server = make_ssl(server_ctx, fds[1]);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    if (session != NULL && *session != NULL)
        assert_int_equal(SSL_set_session(client, *session), 1);
    outcome = tls_talk(client, server);
    if (session != NULL && *session == NULL)
        *session = SSL_get1_session(client);
    tls_close(client, server);
    close(fds[0]);
    close(fds[1]);
    return outcome;
}

static tls_outcome meet_once(const minted *client, const minted *server)
{
    SSL_CTX *client_ctx = dtls_ctx(client), *server_ctx = dtls_ctx(server);
    tls_outcome outcome = meet(client_ctx, server_ctx, NULL);

    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    return outcome;
}

static void test_server(void **state)
{
    tls_outcome outcome = meet_once(&world.friend, &world.web);

    assert_talked("allowed", &outcome);
    assert_int_equal(world.agent.questions, 1);
    outcome = meet_once(NULL, &world.web);
    assert_refused("no certificate", &outcome);
    assert_contains(outcome.client_errors, "alert");
    outcome = meet_once(&world.stranger, &world.web);
    assert_refused("foreign", &outcome);
    assert_contains(outcome.server_errors, "not trusted by the Consul roots");
    assert_int_equal(world.agent.questions, 1);
    world.agent.allow = false;
    outcome = meet_once(&world.friend, &world.web);
    assert_refused("denied", &outcome);
    assert_contains(outcome.server_errors, "peer denied by Consul: client refused: ");
}

static void test_client(void **state)
{
    tls_outcome outcome = meet_once(&world.friend, &world.stranger);

    assert_refused("an impostor", &outcome);
    outcome = meet_once(&world.friend, &world.site);
    assert_refused("an ordinary server", &outcome);
    assert_false(outcome.client_done);
    outcome = meet_once(NULL, &world.site);
    assert_talked("an ordinary connection", &outcome);
}

/* An ordinary server gives sessions, which this server does not resume. */
static void test_sessions(void **state)
{
    static unsigned char keys[80] = "the same for both";
    SSL_CTX *nobody = dtls_ctx(NULL), *site = dtls_ctx(&world.site), *web = dtls_ctx(&world.web);
    SSL_SESSION *session = NULL;
    tls_outcome outcome;

    SSL_CTX_set_tlsext_ticket_keys(site, keys, sizeof(keys));
    SSL_CTX_set_tlsext_ticket_keys(web, keys, sizeof(keys));
    outcome = meet(nobody, site, &session);
    assert_talked("first", &outcome);
    outcome = meet(nobody, site, &session);
    assert_talked("again", &outcome);
    assert_true(outcome.reused);
    outcome = meet(nobody, web, &session);
    assert_refused("another's session", &outcome);
    assert_false(outcome.reused);
    SSL_SESSION_free(session);
    SSL_CTX_free(nobody);
    SSL_CTX_free(site);
    SSL_CTX_free(web);
}

static int accept_all(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static void test_displaced(void **state)
{
    const minted *clients[] = {NULL, &world.site, &world.stranger, &world.friend};
    unsigned int spare;
    size_t i;

    for (spare = 1; spare < HOSTILE_ALL; spare <<= 1) {
        SSL_CTX *web = dtls_ctx(&world.web);

        hostile_displace(web, HOSTILE_ALL & ~spare);
        SSL_CTX_set_cert_verify_callback(web, accept_all, NULL);
        for (i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
            SSL_CTX *client = dtls_ctx(clients[i]);
            tls_outcome outcome;

            world.agent.allow = clients[i] != &world.friend; /* it is asked about */
            outcome = meet(client, web, NULL);
            world.agent.allow = true;
            assert_refused("displaced", &outcome);
            SSL_CTX_free(client);
        }
        SSL_CTX_free(web);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_server, tls_reset),
        cmocka_unit_test_setup(test_client, tls_reset),
        cmocka_unit_test_setup(test_sessions, tls_reset),
        cmocka_unit_test_setup(test_displaced, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
