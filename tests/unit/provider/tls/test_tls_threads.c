/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads: sixteen of them, on one SSL_CTX or with their own, while the authority is rotated. Each
 * handshake comes out as it should, beside all others.
 */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "live_agent.h"
#include "tls.h"

#define THREADS 16
#define ROTATIONS 3
#define BETWEEN 2 /* rounds of each thread from one rotation to the next */

static live_agent *agent;
static config_file config;

/* Contexts of a server, a client that is served, and one that is not. */
typedef struct contexts {
    SSL_CTX *web, *friend, *foe;
} contexts;

typedef struct worker {
    pthread_t thread;
    const contexts *shared; /* NULL for one with its own */
    atomic_int rounds;
    atomic_bool *enough;
    tls_outcome wrong; /* the first that was */
    const char *what;  /* was wrong; NULL for nothing */
} worker;

static int set_up(void **state)
{
    char settings[256];

    agent = live_agent_start();
    snprintf(settings, sizeof(settings),
             "address = %s\nauthorize_timeout = 60s\nrequest_timeout = 60s",
             live_agent_address(agent));
    config = config_file_write(settings, NULL);
    setenv("OPENSSL_CONF", config.path, 1);
    live_agent_issue(agent); /* libcrypto's first use, at which it reads that */
    return 0;
}

static int tear_down(void **state)
{
    config_file_remove(&config);
    live_agent_stop(agent);
    return 0;
}

static contexts open_contexts(void)
{
    return (contexts){.web = tls_ctx_by_uri("consul://leaf/web", NULL),
                      .friend = tls_ctx_by_uri("consul://leaf/friend", NULL),
                      .foe = tls_ctx_by_uri("consul://leaf/foe", NULL)};
}

static void close_contexts(const contexts *c)
{
    SSL_CTX_free(c->web);
    SSL_CTX_free(c->friend);
    SSL_CTX_free(c->foe);
}

/* Connect a client that is served, and one that is denied. */
static void work(worker *w, const contexts *c)
{
    tls_outcome outcome = tls_connect(c->friend, c->web);

    if (!outcome.client_got || !outcome.server_got) {
        w->wrong = outcome;
        w->what = "a friend is not served";
        return;
    }
    outcome = tls_connect(c->foe, c->web);
    if (outcome.client_got || outcome.server_got
        || strstr(outcome.server_errors, "peer denied by Consul") == NULL) {
        w->wrong = outcome;
        w->what = "a foe is not denied";
    }
}

static void *work_on(void *arg)
{
    worker *w = arg;

    while (!atomic_load(w->enough)) {
        contexts own = {NULL, NULL, NULL};

        if (w->shared == NULL)
            own = open_contexts();
        if (w->what == NULL)
            work(w, w->shared == NULL ? &own : w->shared);
        close_contexts(&own);
        atomic_fetch_add(&w->rounds, 1);
    }
    return NULL;
}

/* Wait for each worker. A handshake may see one rotation: the agent lists the roots of both ends. */
static void wait_for_rounds(worker workers[THREADS])
{
    const struct timespec pause = {.tv_nsec = 1000000};
    int i, begun[THREADS];

    for (i = 0; i < THREADS; i++)
        begun[i] = atomic_load(&workers[i].rounds);
    for (i = 0; i < THREADS; i++) {
        while (atomic_load(&workers[i].rounds) < begun[i] + BETWEEN)
            nanosleep(&pause, NULL);
    }
}

static void run(const contexts *shared)
{
    atomic_bool enough = false;
    worker *workers = calloc(THREADS, sizeof(*workers));
    int i;

    assert_non_null(workers);
    for (i = 0; i < THREADS; i++) {
        workers[i].shared = shared;
        workers[i].enough = &enough;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work_on, &workers[i]), 0);
    }
    for (i = 0; i < ROTATIONS; i++) {
        wait_for_rounds(workers);
        live_agent_rotate(agent);
    }
    wait_for_rounds(workers);
    atomic_store(&enough, true);
    for (i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (i = 0; i < THREADS; i++) {
        if (workers[i].what != NULL)
            fail_msg("%s\nclient: %s\nserver: %s", workers[i].what, workers[i].wrong.client_errors,
                     workers[i].wrong.server_errors);
    }
    free(workers);
}

static void test_one_context(void **state)
{
    contexts shared = open_contexts();

    run(&shared);
    close_contexts(&shared);
}

static void test_own_contexts(void **state)
{
    run(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_context),
        cmocka_unit_test(test_own_contexts),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
