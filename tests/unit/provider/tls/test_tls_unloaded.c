/* SPDX-License-Identifier: Apache-2.0 */
/* A configured service's demands on the process's TLS, when its instance is gone or not alone. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/err.h>

#include "tls.h"

static OSSL_LIB_CTX *load(const char *settings)
{
    char text[512];
    config_file file;
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();

    snprintf(text, sizeof(text), "address = %s\n%s", world.agent.address, settings);
    file = config_file_write(text, NULL);
    assert_non_null(libctx);
    assert_int_equal(OSSL_LIB_CTX_load_config(libctx, file.path), 1);
    config_file_remove(&file);
    return libctx;
}

/* Made while nothing was refused; of TLS 1.2 and 1.3. */
static SSL_CTX *early_servers[2], *early_clients[2];

static tls_outcome connect(int version, const minted *client, const minted *server)
{
    SSL_CTX *server_ctx = tls_ctx(version, server), *client_ctx = tls_ctx(version, client);
    tls_outcome outcome = tls_connect(client_ctx, server_ctx);

    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

/* Let a client without a certificate ask an ordinary server for a host. */
static tls_outcome ask_for(const char *host, size_t v)
{
    SSL_CTX *client_ctx = tls_ctx(tls_versions[v], NULL);
    SSL *client, *server;
    tls_outcome outcome;

    tls_pair(client_ctx, early_servers[v], &client, &server);
    assert_true(SSL_set_tlsext_host_name(client, host));
    outcome = tls_talk(client, server);
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    return outcome;
}

static void assert_ordinary(const char *name)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        tls_outcome outcome = connect(tls_versions[v], NULL, &world.site);

        assert_talked(name, &outcome);
    }
}

/* Check that no client is served, and no ordinary server is talked to. */
static void assert_nothing_goes(const char *name, const char *why)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        tls_outcome outcome = tls_connect(early_clients[v], early_servers[v]);

        assert_refused(name, &outcome);
        if (strstr(outcome.client_errors, why) == NULL
            && strstr(outcome.server_errors, why) == NULL)
            fail_msg("%s\nclient: %s\nserver: %s", name, outcome.client_errors,
                     outcome.server_errors);
    }
}

/* Check that a server that starts or checks its configuration ends, and can show why. */
static void assert_takes_no_certificate(const char *why)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    const char *data;
    bool said = false;
    int flags;

    assert_non_null(ctx);
    ERR_clear_error();
    assert_int_not_equal(SSL_CTX_use_certificate(ctx, world.site.cert), 1);
    while (ERR_get_error_all(NULL, NULL, NULL, &data, &flags) != 0)
        said |= (flags & ERR_TXT_STRING) != 0 && strstr(data, why) != NULL;
    assert_true(said);
    SSL_CTX_free(ctx);
}

static void test_nothing_was_required(void **state)
{
    OSSL_LIB_CTX *libctx = load("service = web\ninbound = off\noutbound = auto");

    assert_ordinary("off and auto");
    OSSL_LIB_CTX_free(libctx);
    assert_ordinary("off and auto, unloaded");
}

/* Check that a client asks for no service in these domains, and for any other host. */
static void assert_names_stay(const char *name)
{
    static const char *const services[] = {"db.service.mesh.example", "db.virtual.consul"};
    static const char *const others[] = {"www.example.com", "db.service.other.example"};
    tls_outcome outcome;
    size_t i, v;

    for (v = 0; v < 2; v++) {
        for (i = 0; i < 2; i++) {
            outcome = ask_for(services[i], v);
            assert_refused(name, &outcome);
            outcome = ask_for(others[i], v);
            assert_talked(name, &outcome);
        }
    }
}

/* The domains of each service with `outbound = auto` count on. */
static void test_the_names_of_services_stay(void **state)
{
    OSSL_LIB_CTX *libctx = load("service = web\ninbound = off\ndomain = mesh.example");
    tls_outcome outcome;

    outcome = ask_for("db.service.mesh.example", 0);
    assert_refused("auto", &outcome);
    OSSL_LIB_CTX_free(libctx);
    assert_names_stay("auto, unloaded");
    outcome = ask_for("db.service.mesh.example", 0);
    assert_contains(outcome.client_errors, "the consul provider is not active");
    libctx = load("");
    assert_names_stay("auto, unloaded beside another");
    OSSL_LIB_CTX_free(libctx);
    /* Another service that is active has its own say. */
    libctx = load("service = web\ninbound = off\ndomain = third.example");
    outcome = ask_for("db.service.mesh.example", 0);
    assert_talked("another's name", &outcome);
    OSSL_LIB_CTX_free(libctx);
}

/* The service that is unloaded amid a handshake had other domains than one before. The next handshake is judged by all. */
static void test_a_name_amid_an_unload(void **state)
{
    size_t v;

    OSSL_LIB_CTX_free(load("service = web\ninbound = off\ndomain = mesh.example"));
    for (v = 0; v < 2; v++) {
        OSSL_LIB_CTX *libctx = load("service = web\ninbound = off\ndomain = third.example");
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], NULL);
        SSL *client, *server;
        BIO *client_bio, *server_bio;
        tls_outcome outcome;

        tls_pair(client_ctx, early_servers[v], &client, &server);
        assert_true(SSL_set_tlsext_host_name(client, "db.service.mesh.example"));
        assert_int_equal(SSL_do_handshake(client), -1); /* the ClientHello is written */
        OSSL_LIB_CTX_free(libctx);
        outcome = tls_talk(client, server);
        assert_talked("another's name", &outcome);
        assert_true(SSL_clear(client) && SSL_clear(server));
        assert_true(BIO_new_bio_pair(&client_bio, 1 << 17, &server_bio, 1 << 17));
        SSL_set_bio(client, client_bio, client_bio);
        SSL_set_bio(server, server_bio, server_bio);
        SSL_set_connect_state(client);
        SSL_set_accept_state(server);
        outcome = tls_talk(client, server);
        assert_refused("unloaded", &outcome);
        tls_close(client, server);
        SSL_CTX_free(client_ctx);
    }
}

/* More domains than are remembered: each name could be one of a service. A child's demands end with it. */
static void test_too_many_domains(void **state)
{
    char text[128];
    int status, i;
    pid_t pid = fork();

    assert_true(pid >= 0);
    for (i = 0; i < 8 && pid == 0; i++) {
        snprintf(text, sizeof(text), "service = web\ninbound = off\ndomain = mesh%d.example", i);
        OSSL_LIB_CTX_free(load(text));
    }
    if (pid == 0) {
        tls_outcome outcome = ask_for("www.example.com", 0);

        _exit(outcome.client_done || outcome.server_got ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* Nothing was required in this process so far. Ends without a certificate are refused as well. */
static void test_an_unusable_one_from_the_start(void **state)
{
    OSSL_LIB_CTX *bad;

    assert_ordinary("before");
    bad = load("authorize_timeout = soon");
    assert_nothing_goes("unusable", "authorize_timeout");
    OSSL_LIB_CTX_free(bad);
}

/* Its demands are not known. It counts until a service is active. */
static void test_an_unusable_one_stays(void **state)
{
    OSSL_LIB_CTX *libctx = load("authorize_timeout = soon");
    tls_outcome outcome;
    size_t v;

    OSSL_LIB_CTX_free(libctx);
    assert_nothing_goes("unusable, unloaded", "unloaded with a fault: authorize_timeout");
    assert_takes_no_certificate("unloaded with a fault: authorize_timeout");
    libctx = load("");
    assert_nothing_goes("beside another", "unloaded with a fault: authorize_timeout");
    OSSL_LIB_CTX_free(libctx);
    libctx = load("service = web\noutbound = require");
    for (v = 0; v < 2; v++) {
        outcome = connect(tls_versions[v], NULL, &world.site);
        assert_talked("web and web", &outcome);
    }
    OSSL_LIB_CTX_free(libctx);
    assert_nothing_goes("alone again", "unloaded with a fault: authorize_timeout");
}

/* A peer without the provider is shown no certificate, and offered no cipher. */
static void test_an_unusable_one_shows_nothing(void **state)
{
    OSSL_LIB_CTX *bad = load("authorize_timeout = soon"), *elsewhere = OSSL_LIB_CTX_new();
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *site = tls_ctx_in(elsewhere, tls_versions[v], &world.site);
        SSL_CTX *nobody = tls_ctx_in(elsewhere, tls_versions[v], NULL);
        SSL *client, *server;
        tls_outcome outcome;

        tls_pair_with(nobody, early_servers[v], elsewhere, true, &client, &server);
        outcome = tls_talk(client, server);
        assert_refused("unusable", &outcome);
        assert_contains(outcome.server_errors, "no shared cipher");
        assert_null(SSL_get0_peer_certificate(client));
        tls_close(client, server);
        tls_pair_with(early_clients[v], site, elsewhere, false, &client, &server);
        outcome = tls_talk(client, server);
        assert_refused("unusable, a client", &outcome);
        assert_contains(outcome.client_errors, "no ciphers available");
        tls_close(client, server);
        SSL_CTX_free(site);
        SSL_CTX_free(nobody);
    }
    OSSL_LIB_CTX_free(elsewhere);
    OSSL_LIB_CTX_free(bad);
}

/* Let no client in after a service with `inbound = require` has gone. The demand stays for ever. */
static void test_the_demand_on_clients_stays(void **state)
{
    OSSL_LIB_CTX *libctx = load("service = web\ninbound = require\noutbound = off"), *elsewhere;
    size_t v;

    OSSL_LIB_CTX_free(libctx);
    elsewhere = OSSL_LIB_CTX_new();
    for (v = 0; v < 2; v++) {
        SSL_CTX *nobody = tls_ctx_in(elsewhere, tls_versions[v], NULL);
        SSL *client, *server;
        tls_outcome outcome;

        tls_pair_with(nobody, early_servers[v], elsewhere, true, &client, &server);
        outcome = tls_talk(client, server);
        assert_refused("a client, unloaded", &outcome);
        tls_close(client, server);
        SSL_CTX_free(nobody);
    }
    OSSL_LIB_CTX_free(elsewhere);
}

/* Loaded later, it governs all the same: none of them is without effect. */
static void test_a_service_goes_before_none(void **state)
{
    OSSL_LIB_CTX *first = load(""), *second;
    tls_outcome outcome;
    size_t v;

    assert_ordinary("no service");
    second = load("service = web\noutbound = require");
    for (v = 0; v < 2; v++) {
        /* Both sides are web now, with any certificate. */
        outcome = connect(tls_versions[v], NULL, &world.site);
        assert_talked("web and web", &outcome);
        assert_contains(world.agent.last_question, "\"Target\":\"web\"");
        world.agent.allow = false;
        outcome = connect(tls_versions[v], NULL, &world.site);
        assert_refused("denied", &outcome);
        world.agent.allow = true;
    }
    OSSL_LIB_CTX_free(first);
    outcome = connect(TLS1_3_VERSION, NULL, &world.site);
    assert_talked("web and web, alone", &outcome);
    OSSL_LIB_CTX_free(second);
    assert_nothing_goes("unloaded", "the consul provider is not active");
}

/* An instance that stays says nothing about the demands of one that is gone. */
static void test_the_service_is_gone_and_another_stays(void **state)
{
    OSSL_LIB_CTX *first = load(""), *second = load("service = web\noutbound = require");

    OSSL_LIB_CTX_free(second);
    assert_nothing_goes("unloaded beside another", "not trusted by the Consul roots");
    OSSL_LIB_CTX_free(first);
}

/* An instance that cannot be used refuses everything, in any order of instances. */
static void test_an_unusable_one_goes_before_all(void **state)
{
    OSSL_LIB_CTX *good = load("service = web"), *bad = load("authorize_timeout = soon");

    assert_nothing_goes("unusable", "authorize_timeout");
    assert_takes_no_certificate("authorize_timeout");
    OSSL_LIB_CTX_free(good);
    assert_nothing_goes("unusable, alone", "authorize_timeout");
    OSSL_LIB_CTX_free(bad);
}

/* One instance of a pair has no effect on the other: the laxer one would serve strangers. */
static const struct {
    const char *first, *second, *why;
} pairs[] = {
    {"service = a\ninbound = off", "service = b\ninbound = require", "service is a for"},
    {"service = web\ninbound = off", "service = web\ninbound = require", "inbound is off for"},
    {"service = web\ninbound = off", "service = web", "inbound is off for"},
    {"service = web", "service = web\non_agent_loss = last-known",
     "on_agent_loss is (not set) for"},
    {"service = web\ntoken = hunter2", "service = web\ntoken = hunter3", "(another secret) for"},
};

static void test_two_that_differ(void **state)
{
    OSSL_LIB_CTX *first, *second;
    size_t i, order;

    for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        for (order = 0; order < 2; order++) {
            first = load(order == 0 ? pairs[i].first : pairs[i].second);
            second = load(order == 0 ? pairs[i].second : pairs[i].first);
            assert_nothing_goes(pairs[i].why, order == 0 ? pairs[i].why : "leave one");
            assert_nothing_goes(pairs[i].why, "for the provider \"consul\"");
            assert_takes_no_certificate("for the provider \"consul\"");
            OSSL_LIB_CTX_free(second);
            OSSL_LIB_CTX_free(first);
        }
    }
}

/* Each table counts. Where two disagree on a host, no server is right. */
static void test_tables_of_two(void **state)
{
    static const struct {
        const char *first, *second;
        bool talks;
    } tables[] = {
        {"db.internal = web", "other.internal = other", true},
        {"db.internal = web", "db.internal = web", true},
        {"other.internal = web", "*.internal = web", true},
        {"db.internal = other", "other.internal = web", false},
        {"other.internal = web", "*.internal = other", false},
        {"db.internal = web", "db.internal = other", false},
        {"db.internal = other", "db.internal = web", false},
        {"db.internal = web", "*.internal = other", false},
    };
    char text[256];
    size_t i, v;

    for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        OSSL_LIB_CTX *first, *second;

        snprintf(text, sizeof(text), "upstreams = rows\n[rows]\n%s", tables[i].first);
        first = load(text);
        snprintf(text, sizeof(text), "service = web\nupstreams = rows\n[rows]\n%s",
                 tables[i].second);
        second = load(text);
        for (v = 0; v < 2; v++) {
            tls_outcome outcome = ask_for("db.internal", v);

            if (tables[i].talks) {
                assert_talked(tables[i].second, &outcome);
            } else {
                assert_refused(tables[i].second, &outcome);
                assert_contains(outcome.client_errors, "that the host name asks for");
            }
        }
        OSSL_LIB_CTX_free(first);
        OSSL_LIB_CTX_free(second);
    }
}

/* Let a client of web ask web for a host. Every service of the mesh is a server for a name that asks for none. */
static tls_outcome ask_web_for(const char *host, size_t v)
{
    SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.web);
    SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &world.web);
    SSL *client, *server;
    tls_outcome outcome;

    tls_pair(client_ctx, server_ctx, &client, &server);
    assert_true(SSL_set_tlsext_host_name(client, host));
    outcome = tls_talk(client, server);
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    return outcome;
}

/* The domains of each instance count, whichever of them governs. */
static void test_domains_of_two(void **state)
{
    static const char *const settings[][2] = {
        {"", "domain = mesh.example"},
        {"domain = mesh.example", ""},
        {"domain = mesh.example", "service = web"},
        {"", "service = web\ndomain = mesh.example"},
    };
    size_t i, v;

    for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        OSSL_LIB_CTX *first = load(settings[i][0]), *second = load(settings[i][1]);

        for (v = 0; v < 2; v++) {
            static const char *const hosts[] = {"db.service.mesh.example", "db.service.consul",
                                                "web.service.mesh.example", "www.example.com"};
            size_t host;

            for (host = 0; host < 4; host++) {
                tls_outcome outcome = ask_web_for(hosts[host], v);

                if (host >= 2) {
                    assert_talked(hosts[host], &outcome);
                    continue;
                }
                assert_refused(hosts[host], &outcome);
                assert_contains(outcome.client_errors, "that the host name asks for");
            }
        }
        OSSL_LIB_CTX_free(first);
        OSSL_LIB_CTX_free(second);
    }
}

/* An instance that comes amid a handshake brings its table. The name was looked up before. */
static void test_a_table_amid_a_handshake(void **state)
{
    OSSL_LIB_CTX *first = load("service = web"), *second = NULL;
    size_t i;

    for (i = 0; i < 4; i++) {
        SSL_CTX *client_ctx = tls_ctx(tls_versions[i / 2], NULL);
        bool comes = i % 2 == 1;
        SSL *client, *server;
        tls_outcome outcome;

        tls_pair(client_ctx, early_servers[i / 2], &client, &server);
        assert_true(SSL_set_tlsext_host_name(client, "db.internal"));
        assert_int_equal(SSL_do_handshake(client), -1); /* the ClientHello is written */
        if (comes)
            second = load("upstreams = rows\n[rows]\ndb.internal = other");
        outcome = tls_talk(client, server);
        if (comes) {
            assert_refused("another service", &outcome);
            assert_contains(outcome.client_errors, "that the host name asks for");
            OSSL_LIB_CTX_free(second);
        } else {
            assert_talked("no table", &outcome);
        }
        tls_close(client, server);
        SSL_CTX_free(client_ctx);
    }
    OSSL_LIB_CTX_free(first);
}

/* The name of a service is looked up, though an ordinary name that was looked up before begins with it. */
static void test_a_longer_name_before(void **state)
{
    OSSL_LIB_CTX *only = load("service = web");
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX *client_ctx = tls_ctx(tls_versions[v], NULL);
        SSL *client, *server;
        tls_outcome outcome;

        tls_pair(client_ctx, early_servers[v], &client, &server);
        assert_true(SSL_set1_host(client, "api.service.consul.example"));
        assert_int_equal(SSL_do_handshake(client), -1); /* the ClientHello is written */
        assert_true(SSL_set1_host(client, "api.service.consul"));
        outcome = tls_talk(client, server);
        assert_refused("another service", &outcome);
        assert_contains(outcome.client_errors, "that the host name asks for");
        tls_close(client, server);
        SSL_CTX_free(client_ctx);
    }
    OSSL_LIB_CTX_free(only);
}

/* One file in two library contexts is one service, even if the environment has changed meanwhile. */
static void test_two_that_agree(void **state)
{
    const char *settings = "service = web\noutbound = require";
    OSSL_LIB_CTX *first = load(settings), *second;
    size_t v;

    setenv("CONSUL_HTTP_TOKEN", "another", 1);
    second = load(settings);
    unsetenv("CONSUL_HTTP_TOKEN");
    for (v = 0; v < 2; v++) {
        tls_outcome outcome = connect(tls_versions[v], NULL, &world.site);

        assert_talked("twice the same", &outcome);
    }
    OSSL_LIB_CTX_free(first);
    OSSL_LIB_CTX_free(second);
}

static int set_up(void **state)
{
    OSSL_LIB_CTX *libctx;
    size_t v;

    fake_agent_start(&world.agent);
    world.ca = mint_ca(TD);
    world.web = mint_leaf(&world.ca, TD, "web");
    world.site = mint(NULL, (mint_order){.subject = "site"});
    fake_agent_set_leaf(&world.agent, &world.web);
    libctx = load("");
    for (v = 0; v < 2; v++) {
        early_servers[v] = tls_ctx(tls_versions[v], &world.site);
        early_clients[v] = tls_ctx(tls_versions[v], NULL);
    }
    OSSL_LIB_CTX_free(libctx);
    return tls_reset(state);
}

static int tear_down(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        SSL_CTX_free(early_servers[v]);
        SSL_CTX_free(early_clients[v]);
    }
    minted_free(&world.ca);
    minted_free(&world.web);
    minted_free(&world.site);
    fake_agent_stop(&world.agent);
    return 0;
}

/* Run these tests in a process of their own: wrong settings leave a mark on it. */
static int run_unusable(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_an_unusable_one_from_the_start,
                               tls_reset), /* first: it stays */
        cmocka_unit_test_setup(test_an_unusable_one_shows_nothing, tls_reset),
        cmocka_unit_test_setup(test_an_unusable_one_stays, tls_reset),
        cmocka_unit_test_setup(test_an_unusable_one_goes_before_all, tls_reset),
        cmocka_unit_test_setup(test_two_that_differ, tls_reset),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nothing_was_required, tls_reset),       /* first: that stays */
        cmocka_unit_test_setup(test_the_names_of_services_stay, tls_reset), /* likewise */
        cmocka_unit_test_setup(test_a_name_amid_an_unload, tls_reset),
        cmocka_unit_test_setup(test_too_many_domains, tls_reset),
        cmocka_unit_test_setup(test_a_service_goes_before_none, tls_reset),
        cmocka_unit_test_setup(test_the_service_is_gone_and_another_stays, tls_reset),
        cmocka_unit_test_setup(test_tables_of_two, tls_reset),
        cmocka_unit_test_setup(test_domains_of_two, tls_reset),
        cmocka_unit_test_setup(test_a_table_amid_a_handshake, tls_reset),
        cmocka_unit_test_setup(test_a_longer_name_before, tls_reset),
        cmocka_unit_test_setup(test_two_that_agree, tls_reset),
        cmocka_unit_test_setup(test_the_demand_on_clients_stays, tls_reset), /* last: it stays */
    };
    pid_t pid = fork();
    int status;

    if (pid == 0)
        return run_unusable();
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        return 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
