/* SPDX-License-Identifier: Apache-2.0 */
/* Peers under a root that this process does not know yet. For them an agent is asked, and for strangers it is not. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sys/syscall.h>
#include <unistd.h>

#include <openssl/x509v3.h>

#include "live_agent.h"
#include "tls.h"

static live_agent *agent;
static SSL_CTX *server_ctx;
static OSSL_LIB_CTX *elsewhere; /* of the clients, which are not governed */

/* The moment at which the clocks of this thread stand still, in nanoseconds, or 0. The watch has its own time. */
static _Thread_local int64_t stopped;

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);

    if (clock != CLOCK_REALTIME && stopped != 0)
        *now = (struct timespec){.tv_sec = stopped / 1000000000, .tv_nsec = stopped % 1000000000};
    return result;
}

static void stop_the_clocks(void)
{
    struct timespec now;

    syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &now);
    stopped = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int set_up(void **state)
{
    char settings[256];

    agent = live_agent_start();
    snprintf(settings, sizeof(settings),
             "address = %s\nauthorize_timeout = 60s\nrequest_timeout = 60s\nwatch_wait = 5m\n",
             live_agent_address(agent));
    world.config = config_file_write(settings, NULL);
    setenv("OPENSSL_CONF", world.config.path, 1);
    live_agent_issue(agent);
    world.web = mint_leaf(live_agent_ca(agent), TD, "web");
    world.friend = mint_leaf(live_agent_ca(agent), TD, "friend");
    world.foreign_ca = mint_ca(TD);
    elsewhere = OSSL_LIB_CTX_new();
    return 0;
}

static int tear_down(void **state)
{
    OSSL_LIB_CTX_free(elsewhere);
    minted_free(&world.web);
    minted_free(&world.friend);
    minted_free(&world.foreign_ca);
    config_file_remove(&world.config);
    live_agent_stop(agent);
    return 0;
}

static tls_outcome connect(int version, const minted *client_cert)
{
    SSL_CTX *client_ctx = tls_ctx_in(elsewhere, version, client_cert);
    SSL *client, *server;
    tls_outcome outcome;

    server_ctx = tls_ctx(version, &world.web);
    tls_pair_with(client_ctx, server_ctx, elsewhere, true, &client, &server);
    outcome = tls_talk(client, server);
    tls_close(client, server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    return outcome;
}

/* Return how often the agent was asked for the roots by a handshake. */
static int count_requests(void)
{
    int count = 0, i;

    for (i = live_agent_requests(agent, LIVE_ROOTS) - 1; i >= 0; i--)
        count += live_agent_request(agent, LIVE_ROOTS, i).index == 0;
    return count;
}

/* Make handshakes until a watch vouches for the roots. From then on the agent keeps its news from the watch. */
static void wait_for_the_watch(void)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    int before;

    stop_the_clocks();
    do {
        tls_outcome outcome;

        nanosleep(&pause, NULL);
        stopped += 1000000;
        before = count_requests();
        outcome = connect(TLS1_3_VERSION, &world.friend);
        assert_talked("a friend", &outcome);
    } while (count_requests() != before);
    live_agent_behave(agent, LIVE_ROOTS, LIVE_DEAF);
}

static void test_strangers(void **state)
{
    const mint_name name = {GEN_URI, SERVICE("friend"), 0};
    const mint_name other = {GEN_URI, "spiffe://" OTHER_TD "/ns/default/dc/dc1/svc/friend", 0};
    minted strangers[] = {
        mint(NULL, (mint_order){.names = {name}}),
        mint(&world.foreign_ca,
             (mint_order){.names = {name}, .not_before = -MINT_DAY, .not_after = -60}),
        mint(&world.foreign_ca,
             (mint_order){.names = {name}, .not_before = 600, .not_after = MINT_DAY}),
        mint(&world.foreign_ca, (mint_order){.names = {other}}),
        mint(&world.foreign_ca, (mint_order){.subject = "friend"}),
    };
    size_t i, v;
    int before;

    wait_for_the_watch();
    before = count_requests();
    for (i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        for (v = 0; v < 2; v++) {
            tls_outcome outcome = connect(tls_versions[v], &strangers[i]);

            assert_refused("a stranger", &outcome);
            assert_int_equal(count_requests(), before);
        }
        minted_free(&strangers[i]);
    }
    stopped = 0;
    live_agent_behave(agent, LIVE_ROOTS, LIVE_ANSWER);
}

static void test_a_newer_root(void **state)
{
    size_t v;

    for (v = 0; v < 2; v++) {
        minted newer;
        tls_outcome outcome;
        int before;

        wait_for_the_watch();
        before = count_requests();
        live_agent_rotate(agent);
        newer = mint_leaf(live_agent_ca(agent), TD, "friend");
        stopped += 1000000;
        outcome = connect(tls_versions[v], &newer);
        assert_talked("a newer root", &outcome);
        assert_int_equal(count_requests(), before + 1);
        stopped = 0;
        live_agent_behave(agent, LIVE_ROOTS, LIVE_ANSWER);
        minted_free(&world.friend);
        minted_free(&world.web);
        world.friend = newer;
        world.web = mint_leaf(live_agent_ca(agent), TD, "web");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_a_newer_root),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
