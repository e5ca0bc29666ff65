/* SPDX-License-Identifier: Apache-2.0 */
/* Servers whose agent fails in the middle of a handshake, or after their provider has gone. */
#include "unit.h"

#include <libgen.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sys/syscall.h>
#include <unistd.h>

#include <openssl/provider.h>

#include "tls.h"

#include "store.h"

/* The seconds by which this process's clocks are ahead. */
static atomic_int ahead;

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);

    if (clock != CLOCK_REALTIME)
        now->tv_sec += atomic_load(&ahead);
    return result;
}

static OSSL_LIB_CTX *libctx;
static OSSL_PROVIDER *provider, *builtin;

/*
 * Load the module by hand in a library context of its own, with which it is torn down. Its settings
 * come from the environment, with the default timeouts. TLS is that of the default context, and is
 * governed all the same.
 */
static int set_up(void **state)
{
    char *folder = strdup(module_path());

    fake_agent_start(&world.agent);
    setenv("CONSUL_HTTP_ADDR", world.agent.address, 1);
    libctx = OSSL_LIB_CTX_new();
    builtin = OSSL_PROVIDER_load(libctx, "default");
    OSSL_PROVIDER_set_default_search_path(libctx, dirname(folder));
    provider = OSSL_PROVIDER_load(libctx, "consul");
    free(folder);
    if (builtin == NULL || provider == NULL)
        return 1;
    world.ca = mint_ca(TD);
    world.foreign_ca = mint_ca(TD);
    world.web = mint_leaf(&world.ca, TD, "web");
    world.friend = mint_leaf(&world.ca, TD, "friend");
    world.site = mint(NULL, (mint_order){.subject = "site"});
    return tls_reset(state);
}

static int tear_down(void **state)
{
    minted_free(&world.ca);
    minted_free(&world.foreign_ca);
    minted_free(&world.web);
    minted_free(&world.friend);
    minted_free(&world.site);
    fake_agent_stop(&world.agent);
    return 0;
}

static tls_outcome connect(int version, const minted *client, const minted *server)
{
    SSL_CTX *server_ctx = tls_ctx(version, server), *client_ctx = tls_ctx(version, client);
    tls_outcome outcome = tls_connect(client_ctx, server_ctx);

    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return outcome;
}

static const struct {
    const char *name;
    http_reply reply;
    const char *error;
} faults[] = {
    {"refused", {.status = 403, .body = "Permission denied"}, "Consul agent refused the request"},
    {"no leader", {.status = 500, .body = "No cluster leader"}, "HTTP status 500"},
    {"cut", {.manner = HTTP_CUT, .status = 200, .body = "{\"Authorized\": true}    "}, ""},
    {"no JSON", {.status = 200, .body = "yes"}, "Consul agent gave an invalid answer"},
    {"not a boolean", {.status = 200, .body = "{\"Authorized\": \"true\"}"}, "invalid answer"},
    {"null", {.status = 200, .body = "{\"Authorized\": null}"}, "invalid answer"},
    {"empty object", {.status = 200, .body = "{}"}, "invalid answer"},
    {"nothing", {.status = 200, .body = ""}, "the answer is empty"},
    /* The last row: afterwards it is tried, and no handshake asks it meanwhile. */
    {"closed", {.manner = HTTP_CLOSE}, "Consul agent unreachable"},
};

static void wait_for_a_right_answer(void)
{
    int64_t began = consul_now_ms();
    tls_outcome outcome;

    world.agent.roots_reply = world.agent.decision_reply = (http_reply){.status = 200};
    do {
        outcome = connect(TLS1_3_VERSION, &world.friend, &world.web);
    } while (!outcome.server_done && consul_now_ms() - began < 20000);
    assert_talked("a right answer", &outcome);
}

/* No answer but a plain yes is one. */
static void test_decision_faults(void **state)
{
    size_t i, v;

    for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        for (v = 0; v < 2; v++) {
            tls_outcome outcome;

            world.agent.decision_reply = faults[i].reply;
            outcome = connect(tls_versions[v], &world.friend, &world.web);
            assert_refused(faults[i].name, &outcome);
            assert_contains(outcome.server_errors, "client refused: ");
            assert_contains(outcome.server_errors, faults[i].error);
            assert_contains(outcome.client_errors, "alert");
        }
    }
    wait_for_a_right_answer();
}

/* Before any good answer. */
static void test_roots_faults(void **state)
{
    size_t i, v;

    for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        for (v = 0; v < 2; v++) {
            tls_outcome outcome;

            world.agent.roots_reply = faults[i].reply;
            outcome = connect(tls_versions[v], &world.friend, &world.web);
            assert_refused(faults[i].name, &outcome);
            assert_false(outcome.client_done && v == 0);
        }
    }
    assert_int_equal(world.agent.questions, 0);
    wait_for_a_right_answer();
}

/* Known roots are good while the agent is lost. Any other fault may hide a withdrawn root. */
static void test_known_roots(void **state)
{
    size_t i, v;

    for (v = 0; v < 2; v++) {
        tls_outcome outcome = connect(tls_versions[v], &world.friend, &world.web);

        assert_talked("good roots", &outcome);
        for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
            world.agent.roots_reply = faults[i].reply;
            outcome = connect(tls_versions[v], &world.friend, &world.web);
            if (faults[i].reply.status == 500) {
                assert_talked(faults[i].name, &outcome);
            } else {
                assert_refused(faults[i].name, &outcome);
                assert_contains(outcome.server_errors, faults[i].error);
            }
            outcome = connect(tls_versions[v], &world.site, &world.web);
            assert_refused(faults[i].name, &outcome);
        }
        wait_for_a_right_answer();
        tls_reset(state);
    }
}

/* Make one flight of each side at a time. Pause before the client's second flight arrives. */
static bool shake_hands_slowly(SSL *client, SSL *server, void (*pause)(void))
{
    int i;

    for (i = 0; i < 10 && !(SSL_is_init_finished(client) && SSL_is_init_finished(server)); i++) {
        SSL_do_handshake(client);
        if (i == 1)
            pause();
        SSL_do_handshake(server);
    }
    return SSL_is_init_finished(server);
}

static void keep_the_root(void)
{
    atomic_fetch_add(&ahead, 3);
}

static void withdraw_the_root(void)
{
    fake_agent_reset(&world.agent, TD, &world.foreign_ca, NULL);
    atomic_fetch_add(&ahead, 3); /* afterwards, so that no answer of then has the root */
}

/* A server asks for the roots for the leaf that it presents. Its client comes much later. */
static void test_a_client_that_waits(void **state)
{
    minted stand_in = mint_stand_in("consul:leaf/web");
    static void (*const pauses[])(void) = {withdraw_the_root, keep_the_root};
    size_t i, v;

    for (i = 0; i < 2; i++) {
        for (v = 0; v < 2; v++) {
            SSL_CTX *server_ctx = tls_ctx(tls_versions[v], &stand_in);
            SSL_CTX *client_ctx = tls_ctx(tls_versions[v], &world.friend);
            SSL *client, *server;

            tls_pair(client_ctx, server_ctx, &client, &server);
            assert_int_equal(shake_hands_slowly(client, server, pauses[i]),
                             pauses[i] == keep_the_root);
            SSL_free(client);
            SSL_free(server);
            SSL_CTX_free(client_ctx);
            SSL_CTX_free(server_ctx);
            tls_reset(state);
        }
    }
    minted_free(&stand_in);
}

/* Let an SSL of a server serve this client, for the first time or once more. The client asks no agent. */
static tls_outcome serve_again(SSL *server, const minted *own)
{
    OSSL_LIB_CTX *elsewhere;
    SSL_CTX *client_ctx = tls_ctx_elsewhere(TLS1_3_VERSION, own, &elsewhere);
    SSL_CTX *unused_ctx = tls_ctx(TLS1_3_VERSION, NULL);
    SSL *client, *unused;
    tls_outcome outcome;
    BIO *bio;

    tls_pair_with(client_ctx, unused_ctx, elsewhere, true, &client, &unused);
    bio = SSL_get_rbio(unused);
    BIO_up_ref(bio);
    assert_true(SSL_clear(server));
    SSL_set_bio(server, bio, bio);
    SSL_set_accept_state(server);
    outcome = tls_talk(client, server);
    SSL_free(unused);
    SSL_free(client);
    SSL_CTX_free(unused_ctx);
    SSL_CTX_free(client_ctx);
    OSSL_LIB_CTX_free(elsewhere);
    return outcome;
}

/* It ends when authorize_timeout says so, and not when the agent does. */
static void test_hanging_agent(void **state)
{
    SSL_CTX *server_ctx = tls_ctx(TLS1_3_VERSION, &world.web);
    SSL *server = SSL_new(server_ctx);
    minted other = mint_leaf(&world.ca, TD, "other");
    tls_outcome outcome;
    int64_t began;
    int tries = 5; /* for a busy machine */

    /* Both hang, so that a probe gets no answer either. */
    world.agent.decision_reply.manner = HTTP_HANG;
    world.agent.roots_reply.manner = HTTP_HANG;
    outcome = serve_again(server, &world.friend);
    assert_refused("hanging", &outcome);
    assert_contains(outcome.server_errors, "Consul agent did not answer in time");
    /* No other handshake waits meanwhile. */
    do {
        began = consul_now_ms();
        outcome = connect(TLS1_3_VERSION, &world.friend, &world.web);
        assert_refused("hanging", &outcome);
        assert_contains(outcome.server_errors, "has left requests without an answer");
    } while (consul_now_ms() - began >= 900 && --tries > 0);
    assert_true(tries > 0);
    /* It is tried, and the first answer ends that. */
    world.agent.decision_reply.manner = HTTP_ANSWER;
    world.agent.roots_reply.manner = HTTP_ANSWER;
    do {
        outcome = connect(TLS1_3_VERSION, &world.friend, &world.web);
    } while (!outcome.server_done && consul_now_ms() - began < 20000);
    assert_talked("recovered", &outcome);
    /* The next handshake of the same SSL has the whole time. The agent has not been asked about its client. */
    outcome = serve_again(server, &other);
    assert_talked("the same once more", &outcome);
    minted_free(&other);
    SSL_free(server);
    SSL_CTX_free(server_ctx);
}

/* An endpoint of the mesh stays governed after the provider has gone. */
static void test_unloaded(void **state)
{
    size_t v;
    SSL_CTX *server_ctx[2], *client_ctx[2], *new_ctx;
    tls_outcome outcome;

    for (v = 0; v < 2; v++) {
        server_ctx[v] = tls_ctx(tls_versions[v], &world.web);
        client_ctx[v] = tls_ctx(tls_versions[v], &world.friend);
        outcome = tls_connect(client_ctx[v], server_ctx[v]);
        assert_talked("before", &outcome);
    }
    assert_int_equal(OSSL_PROVIDER_unload(provider), 1);
    assert_int_equal(OSSL_PROVIDER_unload(builtin), 1);
    OSSL_LIB_CTX_free(libctx); /* the provider is torn down now, and not before */
    for (v = 0; v < 2; v++) {
        SSL_CTX *nobody = tls_ctx(tls_versions[v], NULL);

        outcome = tls_connect(client_ctx[v], server_ctx[v]);
        assert_refused("unloaded", &outcome);
        assert_contains(outcome.client_errors, "the consul provider is not active");
        outcome = tls_connect(nobody, server_ctx[v]);
        assert_refused("unloaded, no certificate", &outcome);
        SSL_CTX_free(nobody);
        SSL_CTX_free(server_ctx[v]);
        SSL_CTX_free(client_ctx[v]);
    }
    /* Other TLS goes on. */
    new_ctx = tls_ctx(TLS1_3_VERSION, &world.site);
    outcome = tls_connect(new_ctx, new_ctx);
    assert_talked("ordinary, unloaded", &outcome);
    SSL_CTX_free(new_ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_roots_faults, tls_reset), /* first: it knows none yet */
        cmocka_unit_test_setup(test_known_roots, tls_reset),
        cmocka_unit_test_setup(test_decision_faults, tls_reset),
        cmocka_unit_test_setup(test_a_client_that_waits, tls_reset),
        cmocka_unit_test_setup(test_hanging_agent, tls_reset),
        cmocka_unit_test_setup(test_unloaded, tls_reset), /* last: it stays so */
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
