/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of a configured service that verifies its servers by itself, in the place of OpenSSL. A server of the mesh
 * is known by its certificate, and is held to the mesh. Any other is left to the application.
 */
#include "unit.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls.h"

#define SITE "www.example.com"
#define OTHER_SERVICE "spiffe://" OTHER_TD "/ns/default/dc/dc1/svc/web"

static int accept_all(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

/* Verify by the application's CAs, as OpenSSL would. */
static int by_its_cas(X509_STORE_CTX *ctx, void *arg)
{
    return X509_verify_cert(ctx);
}

/* Free a context with a certificate of no mesh, and then accept the server's. */
static int another_first(X509_STORE_CTX *theirs, void *arg)
{
    int index = SSL_get_ex_data_X509_STORE_CTX_idx();
    SSL *ssl = X509_STORE_CTX_get_ex_data(theirs, index);
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    assert_int_equal(X509_STORE_CTX_init(ctx, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)),
                                         world.site.cert, NULL),
                     1);
    X509_STORE_CTX_set_ex_data(ctx, index, ssl);
    X509_STORE_CTX_free(ctx);
    return accept_all(theirs, arg);
}

/* Verify by the application's CAs in a context of its own. The chain stays unknown to OpenSSL and to us. */
static int in_its_own_context(X509_STORE_CTX *theirs, void *arg)
{
    X509_STORE_CTX *own = X509_STORE_CTX_new();
    int ok;

    assert_int_equal(X509_STORE_CTX_init(own, X509_STORE_CTX_get0_store(theirs),
                                         X509_STORE_CTX_get0_cert(theirs),
                                         X509_STORE_CTX_get0_untrusted(theirs)),
                     1);
    ok = X509_verify_cert(own) > 0;
    X509_STORE_CTX_set_error(theirs, X509_STORE_CTX_get_error(own));
    X509_STORE_CTX_free(own);
    return ok;
}

typedef int verify_fn(X509_STORE_CTX *ctx, void *arg);

static void trust(SSL_CTX *ctx, const minted *ca)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    assert_true(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca->cert));
}

/* Connect to a server without the provider, which shows this certificate and asks for one. Free the context. */
static tls_outcome dial_by(SSL_CTX *client_ctx, int version, const minted *shown)
{
    OSSL_LIB_CTX *libctx;
    SSL_CTX *server_ctx = tls_ctx_elsewhere(version, shown, &libctx);
    tls_outcome outcome = tls_connect(client_ctx, server_ctx);

    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    OSSL_LIB_CTX_free(libctx);
    return outcome;
}

static tls_outcome dial(int version, const minted *shown, const minted *ca, verify_fn *verify)
{
    SSL_CTX *client_ctx = tls_ctx(version, NULL);

    if (verify != NULL)
        SSL_CTX_set_cert_verify_callback(client_ctx, verify, NULL);
    if (ca != NULL)
        trust(client_ctx, ca);
    return dial_by(client_ctx, version, shown);
}

/* The trust domain is not known before the first roots: any leaf may be of this mesh. */
static void test_before_the_first_roots(void **state)
{
    static verify_fn *const ways[] = {NULL, accept_all};
    minted plain = mint(&world.ca, (mint_order){.names = {{GEN_DNS, SITE, 0}}});
    tls_outcome outcome;
    size_t v, i;

    world.agent.roots_reply = (http_reply){.status = 500, .body = "No cluster leader"};
    for (v = 0; v < 2; v++) {
        for (i = 0; i < 2; i++) {
            outcome = dial(tls_versions[v], &world.friend, NULL, ways[i]);
            assert_refused("a service", &outcome);
            assert_contains(outcome.client_errors,
                            ways[i] == NULL ? "No cluster leader" : "without having been verified");
            outcome = dial(tls_versions[v], &world.stranger, NULL, ways[i]);
            assert_refused("a stranger", &outcome);
            outcome = dial(tls_versions[v], &world.site, NULL, ways[i]);
            assert_talked("a site", &outcome);
            /* The chain alone shows it: a CA of a mesh has signed the leaf. */
            outcome = dial(tls_versions[v], &plain, &world.ca, i == 0 ? NULL : by_its_cas);
            assert_refused("a leaf without an ID", &outcome);
        }
    }
    minted_free(&plain);
}

static void test_own_mesh(void **state)
{
    static verify_fn *const ways[] = {accept_all, by_its_cas, another_first};
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < 3; i++) {
            const minted *ca = ways[i] == by_its_cas ? &world.ca : NULL;
            tls_outcome outcome = dial(tls_versions[v], &world.friend, ca, ways[i]);

            assert_talked("a service", &outcome);
            ca = ways[i] == by_its_cas ? &world.foreign_ca : NULL;
            outcome = dial(tls_versions[v], &world.stranger, ca, ways[i]);
            assert_refused("a stranger of the same names", &outcome);
            assert_false(outcome.client_done);
        }
    }
}

/* A member of the mesh whose leaf does not show it, with the name of a web site. Or a leaf of another mesh. */
static void test_pretenders(void **state)
{
    static const char *const uris[] = {"spiffe:/agent/client/dc/dc1/id/1", "SPIFFE:agent",
                                       "spiffe://x@" TD "/ns/default/dc/dc1/svc/web",
                                       SERVICE("web"), OTHER_SERVICE};
    static verify_fn *const ways[] = {NULL, by_its_cas, in_its_own_context};
    size_t v, i, w;

    for (i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
        minted one =
            mint(&world.ca, (mint_order){.names = {{GEN_URI, uris[i], 0}, {GEN_DNS, SITE, 0}}});

        for (v = 0; v < 2; v++) {
            for (w = 0; w < 3; w++) {
                tls_outcome outcome = dial(tls_versions[v], &one, &world.ca, ways[w]);

                assert_refused(uris[i], &outcome);
                assert_false(outcome.client_done);
                if (ways[w] == NULL) /* and not a bare close */
                    assert_contains(outcome.server_errors, "alert");
            }
        }
        minted_free(&one);
    }
}

/* Leave the leaf alone of the verified chain. */
static int shorten_chain(int ok, X509_STORE_CTX *ctx)
{
    STACK_OF(X509) *chain = sk_X509_new_null();

    if (X509_STORE_CTX_get_error_depth(ctx) != 0) {
        sk_X509_free(chain);
        return ok;
    }
    assert_true(X509_up_ref(X509_STORE_CTX_get0_cert(ctx)));
    assert_true(sk_X509_push(chain, X509_STORE_CTX_get0_cert(ctx)));
    X509_STORE_CTX_set0_verified_chain(ctx, chain);
    return ok;
}

/* The verify callback of an application changes the chain, which would show the mesh. Another mesh is left to it. */
static void test_a_chain_of_the_application(void **state)
{
    minted one =
        mint(&world.ca, (mint_order){.names = {{GEN_URI, "spiffe:/agent/client/dc/dc1/id/1", 0}}});
    minted past = mint(&world.ca, (mint_order){.names = {{GEN_URI, OTHER_SERVICE, 0}},
                                               .not_before = -MINT_DAY,
                                               .not_after = -60});
    minted other = mint(&world.foreign_ca, (mint_order){.names = {{GEN_URI, OTHER_SERVICE, 0}}});
    const struct {
        const minted *shown, *ca;
        bool is_left_alone;
    } rows[] = {
        {&one, &world.ca, false}, {&past, &world.ca, false}, {&other, &world.foreign_ca, true}};
    size_t i;

    for (i = 0; i < 3 * 2; i++) {
        SSL_CTX *client_ctx = tls_ctx(tls_versions[i % 2], NULL);
        tls_outcome outcome;

        SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, shorten_chain);
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(client_ctx), X509_V_FLAG_NO_CHECK_TIME);
        assert_true(X509_STORE_add_cert(SSL_CTX_get_cert_store(client_ctx), rows[i / 2].ca->cert));
        outcome = dial_by(client_ctx, tls_versions[i % 2], rows[i / 2].shown);
        if (rows[i / 2].is_left_alone)
            assert_talked("another mesh", &outcome);
        else
            assert_refused("a leaf of the mesh", &outcome);
    }
    minted_free(&one);
    minted_free(&past);
    minted_free(&other);
}

/* A root of the mesh need not say whose it is. A leaf of another mesh under it is held to ours, which lists the root. */
static void test_a_root_without_an_id(void **state)
{
    minted root = mint(NULL, (mint_order){.subject = "root", .ca = true});
    minted one =
        mint(&root, (mint_order){.names = {{GEN_URI, OTHER_SERVICE, 0}, {GEN_DNS, SITE, 0}}});
    size_t v;

    for (v = 0; v < 2; v++) {
        tls_outcome outcome;

        fake_agent_reset(&world.agent, TD, &world.ca, NULL);
        outcome = dial(tls_versions[v], &one, &root, NULL);
        assert_talked("another mesh", &outcome);
        fake_agent_reset(&world.agent, TD, &root, NULL);
        outcome = dial(tls_versions[v], &one, &root, NULL);
        assert_refused("a root that is listed", &outcome);
    }
    minted_free(&one);
    minted_free(&root);
}

/* The server does not send the certificate between its leaf and the root. The application alone has it. */
static void test_a_chain_that_is_not_sent(void **state)
{
    minted root = mint(NULL, (mint_order){.subject = "root", .ca = true});
    minted issuer = mint(&root, (mint_order){.subject = "issuer", .ca = true});
    minted one =
        mint(&issuer, (mint_order){.names = {{GEN_URI, OTHER_SERVICE, 0}, {GEN_DNS, SITE, 0}}});
    size_t i;

    for (i = 0; i < 2 * 2; i++) {
        SSL_CTX *client_ctx = tls_ctx(tls_versions[i % 2], NULL);
        tls_outcome outcome;

        trust(client_ctx, &root);
        trust(client_ctx, &issuer);
        fake_agent_reset(&world.agent, TD, i < 2 ? &world.ca : &root, NULL);
        outcome = dial_by(client_ctx, tls_versions[i % 2], &one);
        if (i < 2)
            assert_talked("another mesh", &outcome);
        else
            assert_refused("a root that is listed", &outcome);
    }
    minted_free(&one);
    minted_free(&issuer);
    minted_free(&root);
}

/*
 * Talk with an earlier session, or NULL, to a server that the provider does not reach. Return the next session. `*reused` is
 * true where the earlier one was resumed.
 */
static SSL_SESSION *resume(SSL_CTX *client_ctx, SSL_CTX *server_ctx, OSSL_LIB_CTX *elsewhere,
                           SSL_SESSION *session, bool *reused)
{
    SSL_SESSION *next;
    SSL *client, *server;
    tls_outcome outcome;

    tls_pair_with(client_ctx, server_ctx, elsewhere, false, &client, &server);
    if (session != NULL)
        assert_true(SSL_set_session(client, session));
    outcome = tls_talk(client, server);
    assert_talked("a session", &outcome);
    next = SSL_get1_session(client);
    *reused = outcome.reused;
    tls_close(client, server);
    return next;
}

/* A resumed server shows no certificate, so that its mesh is not known. */
static void test_sessions(void **state)
{
    minted other_ca = mint_ca(OTHER_TD), other = mint_leaf(&other_ca, OTHER_TD, "web");
    const minted *shown[] = {&world.site, &other, &world.friend};
    const minted *cas[] = {&world.site, &other_ca, &world.ca};
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < 3; i++) {
            OSSL_LIB_CTX *libctx;
            SSL_CTX *server_ctx = tls_ctx_elsewhere(tls_versions[v], shown[i], &libctx);
            SSL_CTX *client_ctx = tls_ctx(tls_versions[v], NULL);
            SSL_SESSION *first, *second;
            bool reused;

            SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, NULL);
            X509_STORE_add_cert(SSL_CTX_get_cert_store(client_ctx), cas[i]->cert);
            first = resume(client_ctx, server_ctx, libctx, NULL, &reused);
            second = resume(client_ctx, server_ctx, libctx, first, &reused);
            assert_int_equal(reused, shown[i] == &world.site);
            SSL_SESSION_free(first);
            SSL_SESSION_free(second);
            SSL_CTX_free(client_ctx);
            SSL_CTX_free(server_ctx);
            OSSL_LIB_CTX_free(libctx);
        }
    }
    minted_free(&other);
    minted_free(&other_ca);
}

/* Return a session with this server, which was made where the provider does not reach. */
static SSL_SESSION *session_from_elsewhere(SSL_CTX *server_ctx, OSSL_LIB_CTX *libctx)
{
    SSL_CTX *client_ctx = tls_ctx_in(libctx, TLS1_3_VERSION, NULL);
    OSSL_LIB_CTX *usual = OSSL_LIB_CTX_set0_default(libctx);
    SSL_SESSION *session;
    bool reused;

    session = resume(client_ctx, server_ctx, libctx, NULL, &reused);
    OSSL_LIB_CTX_set0_default(usual);
    SSL_CTX_free(client_ctx);
    return session;
}

/* Early data goes out as without the provider, where the session is of an ordinary site. A mesh gets none. */
static void test_early_data(void **state)
{
    const minted *shown[] = {&world.site, &world.stranger};
    char line[8];
    size_t i, len;

    for (i = 0; i < 2; i++) {
        OSSL_LIB_CTX *libctx;
        SSL_CTX *server_ctx = tls_ctx_elsewhere(TLS1_3_VERSION, shown[i], &libctx);
        SSL_CTX *client_ctx = tls_ctx(TLS1_3_VERSION, NULL);
        SSL_SESSION *session;
        SSL *client, *server;
        tls_outcome outcome;

        SSL_CTX_set_max_early_data(server_ctx, 4096);
        session = session_from_elsewhere(server_ctx, libctx);
        tls_pair_with(client_ctx, server_ctx, libctx, false, &client, &server);
        assert_true(SSL_set_session(client, session));
        SSL_write_early_data(client, "early", 5, &len);
        assert_int_equal(SSL_read_early_data(server, line, sizeof(line), &len),
                         i == 0 ? SSL_READ_EARLY_DATA_SUCCESS : SSL_READ_EARLY_DATA_ERROR);
        SSL_do_handshake(client);
        SSL_read_early_data(server, line, sizeof(line), &len);
        outcome = tls_talk(client, server);
        if (i == 0)
            assert_talked("a site", &outcome);
        else
            assert_refused("a session with a mesh", &outcome);
        tls_close(client, server);
        SSL_SESSION_free(session);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
        OSSL_LIB_CTX_free(libctx);
    }
}

static void test_ordinary(void **state)
{
    static verify_fn *const ways[] = {accept_all, another_first, by_its_cas, in_its_own_context};
    tls_outcome outcome;
    size_t v, i;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < 4; i++) {
            outcome = dial(tls_versions[v], &world.site, &world.site, ways[i]);
            assert_talked("a site", &outcome);
        }
        outcome = dial(tls_versions[v], &world.site, &world.ca, by_its_cas);
        assert_refused("a site that the application does not know", &outcome);
    }
}

/* ---- a server that shows another certificate in a second handshake ---- */

/* Return true where a line of the server comes to the client, within some turns of both. */
static bool is_heard(SSL *client, SSL *server)
{
    char buffer[16];
    bool is_written = false, is_read = false;
    int i;

    for (i = 0; i < 20; i++) {
        is_read |= SSL_read(client, buffer, sizeof(buffer)) > 0;
        SSL_read(server, buffer, sizeof(buffer));
        if (!is_written && !SSL_renegotiate_pending(server) && SSL_is_init_finished(server))
            is_written = SSL_write(server, "pong", 4) == 4;
    }
    ERR_clear_error();
    return is_read;
}

/* An ordinary server may be asked for a second handshake, and be of the mesh then. Each handshake is judged by itself. */
static void test_another_in_a_second_handshake(void **state)
{
    const minted *seconds[] = {&world.site_rsa, &world.stranger};
    size_t i;

    for (i = 0; i < 2; i++) {
        OSSL_LIB_CTX *libctx;
        SSL_CTX *server_ctx = tls_ctx_elsewhere(TLS1_2_VERSION, &world.site, &libctx);
        SSL_CTX *client_ctx = tls_ctx(TLS1_2_VERSION, NULL);
        SSL *client, *server;
        tls_outcome outcome;

        SSL_CTX_set_options(server_ctx, SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
        tls_pair(client_ctx, server_ctx, &client, &server);
        outcome = tls_talk(client, server);
        assert_talked("a site", &outcome);
        SSL_CTX_set_cert_verify_callback(client_ctx, accept_all, NULL);
        SSL_certs_clear(server);
        assert_int_equal(SSL_use_certificate(server, seconds[i]->cert), 1);
        assert_int_equal(SSL_use_PrivateKey(server, seconds[i]->key), 1);
        assert_int_equal(SSL_renegotiate(server), 1);
        SSL_do_handshake(server);
        assert_int_equal(is_heard(client, server), i == 0);
        assert_int_equal(SSL_num_renegotiations(server) > 0, 1);
        tls_close(client, server);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
        OSSL_LIB_CTX_free(libctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_before_the_first_roots, tls_reset),
        cmocka_unit_test_setup(test_own_mesh, tls_reset),
        cmocka_unit_test_setup(test_pretenders, tls_reset),
        cmocka_unit_test_setup(test_a_chain_of_the_application, tls_reset),
        cmocka_unit_test_setup(test_a_root_without_an_id, tls_reset),
        cmocka_unit_test_setup(test_a_chain_that_is_not_sent, tls_reset),
        cmocka_unit_test_setup(test_sessions, tls_reset),
        cmocka_unit_test_setup(test_early_data, tls_reset),
        cmocka_unit_test_setup(test_ordinary, tls_reset),
        cmocka_unit_test_setup(test_another_in_a_second_handshake, tls_reset),
    };

    return cmocka_run_group_tests(tests, tls_set_up_as_web, tls_tear_down);
}
