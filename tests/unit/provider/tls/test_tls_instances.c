/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process with several library contexts. Each may have an instance of the provider. A leaf that
 * was loaded by URI from one of them is presented live, and is never another's. Each context may
 * have TLS, which one instance governs.
 */
#include "unit.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/x509v3.h>

#include "store.h"
#include "tls.h"

#define ELSEWHERE "spiffe://" TD "/ns/default/dc/dc2/svc/web"

static fake_agent other; /* of another mesh */
static minted other_ca, other_web, renewed_web, elsewhere;

/* Load the key and certificate of a URI, and return them as of the default library context. */
static minted load(OSSL_LIB_CTX *libctx, const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, libctx, NULL, NULL, NULL, NULL, NULL, NULL);
    minted loaded = {0};
    OSSL_STORE_INFO *info;
    unsigned char *der;
    const unsigned char *p;

    assert_non_null(store);
    while ((info = OSSL_STORE_load(store)) != NULL) {
        if (OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY) {
            der = NULL;
            assert_true(i2d_PrivateKey(OSSL_STORE_INFO_get0_PKEY(info), &der) > 0);
            p = der;
            loaded.key = d2i_AutoPrivateKey(NULL, &p, 1024);
            OPENSSL_free(der);
        } else if (loaded.cert == NULL) {
            der = NULL;
            assert_true(i2d_X509(OSSL_STORE_INFO_get0_CERT(info), &der) > 0);
            p = der;
            loaded.cert = d2i_X509(NULL, &p, 65536);
            OPENSSL_free(der);
        }
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    assert_non_null(loaded.cert);
    assert_non_null(loaded.key);
    return loaded;
}

/* Load from an instance with these settings, which lives as long as `*keep`. */
static minted load_with(const char *settings, const char *uri, OSSL_LIB_CTX **keep)
{
    config_file file = config_file_write(settings, NULL);
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    minted loaded;

    assert_non_null(libctx);
    assert_int_equal(OSSL_LIB_CTX_load_config(libctx, file.path), 1);
    loaded = load(libctx, uri);
    config_file_remove(&file);
    *keep = libctx;
    return loaded;
}

/* Serve this client by that leaf; `*presented` is the server's certificate. */
static tls_outcome serve(int version, const minted *client, const minted *own, X509 **presented)
{
    SSL_CTX *server_ctx = tls_ctx(version, own), *client_ctx = tls_ctx(version, client);
    SSL *client_ssl, *server_ssl;
    tls_outcome outcome;

    tls_pair(client_ctx, server_ctx, &client_ssl, &server_ssl);
    outcome = tls_talk(client_ssl, server_ssl);
    *presented = SSL_get1_peer_certificate(client_ssl);
    tls_close(client_ssl, server_ssl);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

static void assert_presented(X509 *presented, const minted *expected)
{
    assert_non_null(presented);
    assert_int_equal(X509_cmp(presented, expected->cert), 0);
    X509_free(presented);
}

/* Wait for another leaf: without a watch, a leaf is used for some milliseconds unasked. */
static void wait_for_another_leaf(const minted *client, const minted *loaded)
{
    int64_t end = consul_deadline_after(10000);
    X509 *presented;
    bool is_loaded;

    do {
        tls_outcome outcome = serve(TLS1_3_VERSION, client, loaded, &presented);

        assert_talked("its own", &outcome);
        is_loaded = X509_cmp(presented, loaded->cert) == 0;
        X509_free(presented);
    } while (is_loaded && consul_now_ms() < end);
    assert_false(is_loaded);
}

static void test_the_governing_instances_own(void **state)
{
    minted loaded;
    X509 *presented;
    size_t v;

    loaded = load(NULL, "consul://leaf/web");
    fake_agent_set_leaf(&world.agent, &renewed_web);
    wait_for_another_leaf(&world.friend, &loaded);
    for (v = 0; v < 2; v++) {
        tls_outcome outcome = serve(tls_versions[v], &world.friend, &loaded, &presented);

        assert_talked("its own", &outcome);
        assert_presented(presented, &renewed_web);
    }
    minted_free(&loaded);
}

/* It has a service of that name, too, which is another party. */
static void test_of_another_agent(void **state)
{
    char settings[128];
    OSSL_LIB_CTX *libctx;
    minted loaded;
    X509 *presented;
    size_t v;

    snprintf(settings, sizeof(settings), "address = %s", other.address);
    loaded = load_with(settings, "consul://leaf/web", &libctx);
    for (v = 0; v < 2; v++) {
        tls_outcome outcome = serve(tls_versions[v], &world.friend, &loaded, &presented);

        assert_refused("another mesh's", &outcome);
        X509_free(presented);
        outcome = serve(tls_versions[v], NULL, &loaded, &presented);
        assert_refused("another mesh's, no certificate", &outcome);
        assert_presented(presented, &other_web);
    }
    assert_string_equal(world.agent.last_leaf, "");
    assert_int_equal(world.agent.questions, 0);
    minted_free(&loaded);
    OSSL_LIB_CTX_free(libctx);
}

/* A setting that its URI leaves open comes from its own instance, and not from the other one. */
static void test_of_other_settings(void **state)
{
    char settings[128];
    OSSL_LIB_CTX *libctx;
    minted loaded;
    X509 *presented;
    tls_outcome outcome;

    snprintf(settings, sizeof(settings), "address = %s\ndatacenter = dc2", world.agent.address);
    fake_agent_set_leaf(&world.agent, &elsewhere);
    loaded = load_with(settings, "consul://leaf/web", &libctx);
    tls_reset(state);
    fake_agent_set_leaf(&world.agent, &elsewhere);
    outcome = serve(TLS1_3_VERSION, &world.friend, &loaded, &presented);
    assert_talked("elsewhere", &outcome);
    assert_presented(presented, &elsewhere);
    assert_string_equal(world.agent.last_leaf,
                        "/v1/agent/connect/ca/leaf/web?dc=dc2&index=4611686018427387904&wait=1us");
    minted_free(&loaded);
    OSSL_LIB_CTX_free(libctx);
}

/* ---- TLS of a library context of its own, in which there is no instance ---- */

static SSL_CTX *ctx_in(OSSL_LIB_CTX *libctx, int version, const minted *own)
{
    SSL_CTX *ctx = SSL_CTX_new_ex(libctx, NULL, TLS_method());

    assert_non_null(ctx);
    assert_true(SSL_CTX_set_min_proto_version(ctx, version));
    assert_true(SSL_CTX_set_max_proto_version(ctx, version));
    if (own != NULL)
        tls_use(ctx, own);
    return ctx;
}

static tls_outcome connect_in(OSSL_LIB_CTX *libctx, int version, const minted *client,
                              const minted *server)
{
    SSL_CTX *server_ctx = ctx_in(libctx, version, server);
    SSL_CTX *client_ctx = ctx_in(libctx, version, client);
    tls_outcome outcome = tls_connect(client_ctx, server_ctx);

    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

static void test_contexts_of_another_library_context(void **state)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    minted stand_in = mint_stand_in("consul:leaf/web");
    const minted *servers[] = {&world.web, &stand_in};
    size_t i, v;

    assert_non_null(libctx);
    for (i = 0; i < 2; i++) {
        for (v = 0; v < 2; v++) {
            int version = tls_versions[v];
            tls_outcome outcome = connect_in(libctx, version, &world.friend, servers[i]);

            assert_talked("a friend", &outcome);
            outcome = connect_in(libctx, version, NULL, servers[i]);
            assert_refused("nobody", &outcome);
            outcome = connect_in(libctx, version, &world.stranger, servers[i]);
            assert_refused("a stranger", &outcome);
            outcome = connect_in(libctx, version, &world.friend, &world.site);
            assert_refused("an ordinary server", &outcome);
            world.agent.allow = false;
            outcome = connect_in(libctx, version, &world.friend, servers[i]);
            assert_refused("denied", &outcome);
            world.agent.allow = true;
            outcome = connect_in(libctx, version, NULL, &world.site);
            assert_talked("ordinary TLS", &outcome);
        }
    }
    minted_free(&stand_in);
    OSSL_LIB_CTX_free(libctx);
}

/* ---- SSLs of a thread with another default library context: OpenSSL tells of neither their begin nor their end ---- */

static void test_ssls_under_another_default(void **state)
{
    static const struct {
        const minted *client, *server;
        bool talks;
    } rows[] = {
        {&world.friend, &world.web, true},
        {&world.stranger, &world.web, false},
        {NULL, &world.web, false},
        {NULL, &world.site, true},
        {&world.stranger, &world.web, false},
        {&world.friend, &world.web, true},
        {NULL, &world.web, false},
        {&world.friend, &world.web, true},
    };
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new(), *usual;
    size_t i;

    assert_non_null(libctx);
    for (i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        SSL_CTX *server_ctx = tls_ctx(tls_versions[i % 2], rows[i / 2].server);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[i % 2], rows[i / 2].client);
        SSL *client, *server;
        tls_outcome outcome;

        usual = OSSL_LIB_CTX_set0_default(libctx);
        tls_pair(client_ctx, server_ctx, &client, &server);
        outcome = tls_talk(client, server);
        tls_close(client, server);
        OSSL_LIB_CTX_set0_default(usual);
        if (rows[i / 2].talks)
            assert_talked("allowed, or ordinary", &outcome);
        else
            assert_refused("not allowed", &outcome);
        SSL_CTX_free(server_ctx);
        SSL_CTX_free(client_ctx);
    }
    OSSL_LIB_CTX_free(libctx);
}

/* ---- copies under such a context, at an address that had an endpoint ---- */

static SSL *copy_under(OSSL_LIB_CTX *libctx, SSL *ssl)
{
    OSSL_LIB_CTX *usual = OSSL_LIB_CTX_set0_default(libctx);
    SSL *copy = SSL_dup(ssl);

    OSSL_LIB_CTX_set0_default(usual);
    assert_non_null(copy);
    return copy;
}

static void free_under(OSSL_LIB_CTX *libctx, SSL *ssl)
{
    OSSL_LIB_CTX *usual = OSSL_LIB_CTX_set0_default(libctx);

    SSL_free(ssl);
    OSSL_LIB_CTX_set0_default(usual);
}

/* Let this client meet a server on a new pipe. */
static tls_outcome meet(int version, const minted *who, SSL *server)
{
    SSL_CTX *client_ctx = tls_ctx(version, who);
    BIO *of_client, *of_server;
    SSL *client = SSL_new(client_ctx);
    tls_outcome outcome;

    assert_non_null(client);
    assert_true(BIO_new_bio_pair(&of_client, 1 << 17, &of_server, 1 << 17));
    SSL_set_bio(client, of_client, of_client);
    SSL_set_bio(server, of_server, of_server);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    outcome = tls_talk(client, server);
    SSL_free(client);
    SSL_CTX_free(client_ctx);
    return outcome;
}

/*
 * Have a friend authorized on a copy, whose endpoint stays when it is freed. Let a stranger meet the next copy, and a client
 * without a certificate an ordinary one. Each program writes the flags that have the mark. Return true if the address was
 * the same.
 */
static bool meet_copies(OSSL_LIB_CTX *libctx, int version, uint32_t flags)
{
    SSL_CTX *web_ctx = tls_ctx(version, &world.web), *site_ctx = tls_ctx(version, &world.site);
    SSL *web = SSL_new(web_ctx), *site = SSL_new(site_ctx), *copy = copy_under(libctx, web);
    uintptr_t address = (uintptr_t)copy;
    tls_outcome outcome;

    X509_VERIFY_PARAM_set_inh_flags(SSL_get0_param(copy), flags);
    outcome = meet(version, &world.friend, copy);
    assert_talked("a friend", &outcome);
    free_under(libctx, copy);
    copy = copy_under(libctx, web);
    X509_VERIFY_PARAM_set_inh_flags(SSL_get0_param(copy), flags);
    outcome = meet(version, &world.stranger, copy);
    assert_refused("a stranger at the friend's address", &outcome);
    free_under(libctx, copy);
    copy = copy_under(libctx, site);
    outcome = meet(version, NULL, copy);
    assert_talked("ordinary TLS", &outcome);
    free_under(libctx, copy);
    SSL_free(web);
    SSL_free(site);
    SSL_CTX_free(web_ctx);
    SSL_CTX_free(site_ctx);
    return (uintptr_t)copy == address;
}

/* Return false with a sanitizer, which keeps what was freed. */
static bool gives_addresses_again(void)
{
    void *one = OPENSSL_malloc(64);
    uintptr_t address = (uintptr_t)one;

    OPENSSL_free(one);
    one = OPENSSL_malloc(64);
    OPENSSL_free(one);
    return (uintptr_t)one == address;
}

static void test_copies_under_another_default(void **state)
{
    static const uint32_t flags[] = {0, UINT32_MAX};
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    int same = 0;
    size_t i;

    assert_non_null(libctx);
    for (i = 0; i < 40; i++)
        same += meet_copies(libctx, tls_versions[i % 2], flags[i / 2 % 2]);
    assert_true(same > 0 || !gives_addresses_again());
    OSSL_LIB_CTX_free(libctx);
}

/*
 * A program may set a parameter of a loaded provider from OpenSSL 3.5 on, as `openssl -provparam` does. A setting that
 * decides what is governed would be without effect. It stays there, so that this is the last test.
 */
static void test_a_setting_after_the_load(void **state)
{
    int (*add)(OSSL_PROVIDER * provider, const char *name, const char *value);
    void *symbol = dlsym(RTLD_DEFAULT, "OSSL_PROVIDER_add_conf_parameter");
    OSSL_PROVIDER *provider = OSSL_PROVIDER_load(NULL, "consul");
    SSL_CTX *ctx = tls_ctx(TLS1_3_VERSION, &world.site);
    tls_outcome outcome = tls_connect(ctx, ctx);

    assert_non_null(provider);
    assert_talked("ordinary TLS", &outcome);
    memcpy(&add, &symbol, sizeof(add));
    if (symbol != NULL) {
        assert_int_equal(add(provider, "log_level", "info"), 1);
        outcome = tls_connect(ctx, ctx);
        assert_talked("a setting that decides nothing", &outcome);
        assert_int_equal(add(provider, "upstreams", "hosts"), 1);
        outcome = tls_connect(ctx, ctx);
        assert_refused("hosts in vain", &outcome);
        assert_contains(outcome.client_errors, "upstreams = hosts was set when the provider");
        assert_int_equal(add(provider, "inbound", "require"), 1);
        outcome = tls_connect(ctx, ctx);
        assert_refused("a service in vain", &outcome);
        assert_contains(outcome.client_errors, "inbound = require was set when the provider");
        assert_int_not_equal(SSL_CTX_use_certificate(ctx, world.site.cert), 1);
    }
    SSL_CTX_free(ctx);
    OSSL_PROVIDER_unload(provider);
    ERR_clear_error();
}

static int set_up(void **state)
{
    if (tls_set_up(state) != 0)
        return 1;
    fake_agent_start(&other);
    other_ca = mint_ca(OTHER_TD);
    other_web = mint_leaf(&other_ca, OTHER_TD, "web");
    renewed_web = mint_leaf(&world.ca, TD, "web");
    elsewhere = mint(&world.ca, (mint_order){.names = {{GEN_URI, ELSEWHERE, 0}}});
    fake_agent_reset(&other, OTHER_TD, &other_ca, NULL);
    fake_agent_set_leaf(&other, &other_web);
    return 0;
}

static int tear_down(void **state)
{
    minted_free(&other_ca);
    minted_free(&other_web);
    minted_free(&renewed_web);
    minted_free(&elsewhere);
    fake_agent_stop(&other);
    return tls_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_governing_instances_own, tls_reset),
        cmocka_unit_test_setup(test_of_another_agent, tls_reset),
        cmocka_unit_test_setup(test_of_other_settings, tls_reset),
        cmocka_unit_test_setup(test_ssls_under_another_default, tls_reset),
        cmocka_unit_test_setup(test_copies_under_another_default, tls_reset),
        cmocka_unit_test_setup(test_contexts_of_another_library_context, tls_reset),
        cmocka_unit_test_setup(test_a_setting_after_the_load, tls_reset),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
