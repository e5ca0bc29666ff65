/* SPDX-License-Identifier: Apache-2.0 */
/* Host names, addresses and subjects in leaves: no member of the mesh passes for another by them. */
#include "unit.h"

#include <openssl/x509v3.h>

#include "tls.h"

#define SITE "www.example.com"
#define ADDRESS "192.0.2.1"
#define ADDRESS_BYTES "\xc0\x00\x02\x01"

/* The names that a client asks for: in SNI, and in OpenSSL's check. */
typedef struct asked {
    const char *sni, *host, *other_host, *address, *email;
    bool by_itself; /* the application verifies in the place of OpenSSL */
} asked;

static int accept_all(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static tls_outcome dial(int version, const minted *server_cert, const asked *what)
{
    SSL_CTX *server_ctx = tls_ctx(version, server_cert);
    SSL_CTX *client_ctx = tls_ctx(version, &world.friend);
    SSL *client, *server;
    tls_outcome outcome;

    tls_pair(client_ctx, server_ctx, &client, &server);
    SSL_set_verify(client, SSL_VERIFY_PEER, NULL);
    if (what->by_itself)
        SSL_CTX_set_cert_verify_callback(client_ctx, accept_all, NULL);
    if (what->sni != NULL)
        assert_true(SSL_set_tlsext_host_name(client, what->sni));
    if (what->host != NULL)
        assert_true(SSL_set1_host(client, what->host));
    if (what->other_host != NULL)
        assert_true(SSL_add1_host(client, what->other_host));
    if (what->address != NULL)
        assert_true(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(client), what->address));
    if (what->email != NULL)
        assert_true(X509_VERIFY_PARAM_set1_email(SSL_get0_param(client), what->email, 0));
    outcome = tls_talk(client, server);
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

#define WEB                        \
    {                              \
        GEN_URI, SERVICE("web"), 0 \
    }

/* Leaves that a member of the mesh can have: `web` is its service, and the rest is pretence. */
static const struct {
    const char *name;
    mint_order order;
    bool by_subject, by_address; /* how a check would find the names; the others by DNS name */
} pretenders[] = {
    {.name = "a host name", .order = {.names = {WEB, {GEN_DNS, SITE, 0}}}},
    {.name = "a wildcard", .order = {.names = {{GEN_DNS, "*.example.com", 0}, WEB}}},
    {"an address", {.names = {WEB, {GEN_IPADD, ADDRESS_BYTES, 4}}}, .by_address = true},
    {"a common name", {.subject = SITE, .names = {WEB}}, .by_subject = true},
    {"a wildcard in a common name",
     {.subject = "*.example.com", .names = {WEB}},
     .by_subject = true},
    {"a subject and an address",
     {.subject = SITE, .names = {WEB, {GEN_IPADD, ADDRESS_BYTES, 4}}},
     .by_subject = true,
     .by_address = true},
};

#define COUNT(array) (sizeof(array) / sizeof(array[0]))

/* An application may look for the name by itself, afterwards, and whether it will is not to be seen. */
static void test_no_service_is_asked_for(void **state)
{
    static const asked nothing = {0},
                       something[] = {
                           {0},
                           {.sni = SITE},
                           {.sni = "node.node.consul"}, /* of Consul's domain, and no service */
                           {.host = SITE},
                           {.sni = SITE, .host = SITE},
                           {.address = ADDRESS},
                       };
    size_t i, k, v;

    for (i = 0; i < COUNT(pretenders); i++) {
        minted peer = mint(&world.ca, pretenders[i].order);

        assert_int_equal(X509_check_host(peer.cert, SITE, 0, 0, NULL),
                         !pretenders[i].by_address || pretenders[i].by_subject);
        assert_int_equal(X509_check_ip_asc(peer.cert, ADDRESS, 0), pretenders[i].by_address);
        for (k = 0; k < COUNT(something); k++) {
            for (v = 0; v < 2; v++) {
                tls_outcome outcome = dial(tls_versions[v], &peer, &something[k]);

                assert_refused(pretenders[i].name, &outcome);
                assert_false(outcome.client_done);
                assert_contains(outcome.client_errors, "peer is not the host that was asked for");
                assert_contains(outcome.client_errors, "upstreams");
            }
        }
        minted_free(&peer);
    }
    for (v = 0; v < 2; v++) {
        tls_outcome outcome = dial(tls_versions[v], &world.web, &nothing);

        assert_talked("a leaf without names", &outcome);
    }
}

static void test_the_service_is_asked_for(void **state)
{
    static const asked by_name[] = {
        {.sni = "web.service.consul"},
        {.host = "web.service.consul"},
        {.sni = "web.service.consul", .host = "web.service.consul"},
        {.host = SITE, .other_host = "web.service.consul"}, /* either of the two will do */
        {.host = "web.service.consul", .by_itself = true},
    };
    static const asked another[] = {
        {.sni = "db.service.consul"},
        {.sni = "db.service.consul", .host = "db.service.consul"},
    };
    size_t i, k, v;

    for (i = 0; i < COUNT(pretenders); i++) {
        minted peer = mint(&world.ca, pretenders[i].order);

        for (v = 0; v < 2; v++) {
            for (k = 0; k < COUNT(by_name); k++) {
                tls_outcome outcome = dial(tls_versions[v], &peer, &by_name[k]);

                assert_talked(pretenders[i].name, &outcome);
            }
            for (k = 0; k < COUNT(another); k++) {
                tls_outcome outcome = dial(tls_versions[v], &peer, &another[k]);

                assert_refused(pretenders[i].name, &outcome);
            }
        }
        minted_free(&peer);
    }
}

/* The name of a service is one of the client's own datacenter, namespace and partition. */
static void test_the_service_of_another_place(void **state)
{
    static const char *const uris[] = {"spiffe://" TD "/ns/default/dc/dc2/svc/web",
                                       "spiffe://" TD "/ns/other/dc/dc1/svc/web",
                                       "spiffe://" TD "/ap/other/ns/default/dc/dc1/svc/web"};
    static const asked web = {.sni = "web.service.consul"};
    size_t i, v;

    for (i = 0; i < COUNT(uris); i++) {
        minted peer = mint(&world.ca, (mint_order){.names = {{GEN_URI, uris[i], 0}}});

        for (v = 0; v < 2; v++) {
            tls_outcome outcome = dial(tls_versions[v], &peer, &web);

            assert_refused(uris[i], &outcome);
            assert_contains(outcome.client_errors, "peer is not the host that was asked for");
        }
        minted_free(&peer);
    }
}

/* A row of upstreams means a service by its very name. */
static void test_the_case_of_a_service(void **state)
{
    static const asked legacy = {.sni = "legacy.example.com"};
    minted peer = mint(&world.ca, (mint_order){.names = {{GEN_URI, SERVICE("Web"), 0}}});
    size_t v;

    for (v = 0; v < 2; v++) {
        tls_outcome outcome = dial(tls_versions[v], &peer, &legacy);

        assert_talked("the service", &outcome);
        outcome = dial(tls_versions[v], &world.web, &legacy);
        assert_refused("another case", &outcome);
    }
    minted_free(&peer);
}

/* A name of Consul's domain that names no service asks for one all the same, which no peer is. */
static void test_a_malformed_name(void **state)
{
    static const asked malformed = {.sni = "web.virtual.east.consul"};
    size_t v;

    for (v = 0; v < 2; v++) {
        tls_outcome outcome = dial(tls_versions[v], &world.web, &malformed);

        assert_refused("a malformed name", &outcome);
        assert_contains(outcome.client_errors, "is not the host that was asked for");
    }
}

/* A client whose leaf names several services has no place of its own, and finds no service. */
static void test_a_client_without_an_identity(void **state)
{
    minted own = mint(&world.ca, (mint_order){.names = {WEB, {GEN_URI, SERVICE("other"), 0}}});
    size_t v;

    for (v = 0; v < 2; v++) {
        OSSL_LIB_CTX *libctx; /* a server of ours would refuse such a client */
        SSL_CTX *server_ctx = tls_ctx_elsewhere(tls_versions[v], &world.web, &libctx);
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &own);
        SSL *client, *server;
        tls_outcome outcome;

        tls_pair_with(client_ctx, server_ctx, libctx, false, &client, &server);
        assert_true(SSL_set_tlsext_host_name(client, "web.service.consul"));
        outcome = tls_talk(client, server);
        assert_refused("no identity", &outcome);
        tls_close(client, server);
        SSL_CTX_free(client_ctx);
        SSL_CTX_free(server_ctx);
        OSSL_LIB_CTX_free(libctx);
    }
    minted_free(&own);
}

/* SNI names the service. OpenSSL looks for other names too, which are not in any leaf. */
static void test_the_service_is_not_all_that_is_asked_for(void **state)
{
    static const asked more[] = {
        {.sni = "web.service.consul", .host = SITE},
        {.sni = "web.service.consul", .address = ADDRESS},
        {.sni = "web.service.consul", .host = "web.service.consul", .address = ADDRESS},
        {.sni = "web.service.consul", .email = "root@example.com"},
        {.host = "web.service.consul", .email = "root@example.com"},
        {.sni = "web.service.consul", .host = SITE, .by_itself = true},
        {.sni = "web.service.consul", .address = ADDRESS, .by_itself = true},
        {.sni = "web.service.consul", .email = "root@example.com", .by_itself = true},
    };
    minted peer = mint(&world.ca, (mint_order){.subject = SITE,
                                               .names = {WEB,
                                                         {GEN_DNS, SITE, 0},
                                                         {GEN_IPADD, ADDRESS_BYTES, 4},
                                                         {GEN_EMAIL, "root@example.com", 0}}});
    const minted *servers[] = {&peer, &world.web};
    size_t i, k, v;

    for (i = 0; i < 2; i++) {
        for (k = 0; k < COUNT(more); k++) {
            for (v = 0; v < 2; v++) {
                tls_outcome outcome = dial(tls_versions[v], servers[i], &more[k]);

                assert_refused(more[k].sni, &outcome);
                if (!more[k].by_itself)
                    assert_contains(outcome.client_errors,
                                    "peer is not the host that was asked for");
            }
        }
    }
    minted_free(&peer);
}

/* Leaves of Consul 1.8 have such a subject. */
static void test_consuls_own_subject(void **state)
{
    static const asked nothing = {0};
    minted web =
        mint(&world.ca, (mint_order){.subject = "web.svc.default.11111111.consul", .names = {WEB}});
    size_t v;

    for (v = 0; v < 2; v++) {
        tls_outcome outcome = dial(tls_versions[v], &web, &nothing);

        assert_talked("Consul's own subject", &outcome);
    }
    minted_free(&web);
}

/* ---- clients ---- */

static tls_outcome serve(int version, const minted *client, const char *host, const char *email)
{
    SSL_CTX *server_ctx = tls_ctx(version, &world.web), *client_ctx = tls_ctx(version, client);
    tls_outcome outcome;

    if (host != NULL)
        assert_true(X509_VERIFY_PARAM_set1_host(SSL_CTX_get0_param(server_ctx), host, 0));
    if (email != NULL)
        assert_true(X509_VERIFY_PARAM_set1_email(SSL_CTX_get0_param(server_ctx), email, 0));
    outcome = tls_connect(client_ctx, server_ctx);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

#define FRIEND                        \
    {                                 \
        GEN_URI, SERVICE("friend"), 0 \
    }

/*
 * Applications know users by subject or mail address: no service chooses these. An ingress gateway has
 * DNS names, and is a client of the services behind it.
 */
static const struct {
    const char *name;
    mint_order order;
    bool served;
} clients[] = {
    {"a subject", {.subject = "postgres", .names = {FRIEND}}, false},
    {"another's subject", {.subject = "web.svc.default.11111111.consul", .names = {FRIEND}}, false},
    {"Consul's", {.subject = "friend.svc.default.11111111.consul", .names = {FRIEND}}, true},
    {"mail", {.names = {FRIEND, {GEN_EMAIL, "root@example.com", 0}}}, false},
    {"a host", {.names = {FRIEND, {GEN_DNS, "*.ingress.consul", 0}, {GEN_DNS, SITE, 0}}}, true},
    {"an address", {.names = {{GEN_IPADD, ADDRESS_BYTES, 4}, FRIEND}}, true},
};

static void test_clients(void **state)
{
    size_t i, v;

    for (i = 0; i < COUNT(clients); i++) {
        minted peer = mint(&world.ca, clients[i].order);

        for (v = 0; v < 2; v++) {
            tls_outcome outcome = serve(tls_versions[v], &peer, NULL, NULL);

            if (clients[i].served) {
                assert_talked(clients[i].name, &outcome);
            } else {
                assert_refused(clients[i].name, &outcome);
                assert_contains(outcome.server_errors, "peer is not a Connect service");
                assert_contains(outcome.server_errors, SERVICE("friend"));
                assert_contains(outcome.client_errors, "alert");
            }
        }
        minted_free(&peer);
    }
}

/* A server that has OpenSSL look for a name in its clients' certificates finds none. */
static void test_what_a_server_has_openssl_look_for(void **state)
{
    minted named = mint(&world.ca, (mint_order){.names = {FRIEND, {GEN_DNS, SITE, 0}}});
    size_t v;

    for (v = 0; v < 2; v++) {
        tls_outcome outcome = serve(tls_versions[v], &named, SITE, NULL);

        assert_refused("a host", &outcome);
        assert_contains(outcome.server_errors, "peer is not the host that was asked for");
        outcome = serve(tls_versions[v], &world.friend, "friend.service.consul", NULL);
        assert_refused("a service", &outcome);
        outcome = serve(tls_versions[v], &world.friend, NULL, "root@example.com");
        assert_refused("a mail address", &outcome);
    }
    minted_free(&named);
}

static int set_up(void **state)
{
    return tls_set_up_as("upstreams = table\n[table]\nlegacy.example.com = Web");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_no_service_is_asked_for, tls_reset),
        cmocka_unit_test_setup(test_the_service_is_asked_for, tls_reset),
        cmocka_unit_test_setup(test_the_service_of_another_place, tls_reset),
        cmocka_unit_test_setup(test_the_case_of_a_service, tls_reset),
        cmocka_unit_test_setup(test_a_malformed_name, tls_reset),
        cmocka_unit_test_setup(test_a_client_without_an_identity, tls_reset),
        cmocka_unit_test_setup(test_the_service_is_not_all_that_is_asked_for, tls_reset),
        cmocka_unit_test_setup(test_consuls_own_subject, tls_reset),
        cmocka_unit_test_setup(test_clients, tls_reset),
        cmocka_unit_test_setup(test_what_a_server_has_openssl_look_for, tls_reset),
    };

    return cmocka_run_group_tests(tests, set_up, tls_tear_down);
}
