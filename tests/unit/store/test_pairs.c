/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs: both halves are of one leaf. Each thread and each URI has its own pair. */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "pairs.h"

#define SECOND_MS 1000

int64_t __wrap_consul_now_ms(void);

static int64_t now, answering; /* for so long the agent makes a load wait */

int64_t __wrap_consul_now_ms(void)
{
    return now;
}

/* ---- a program: its pairs, and the leaves before and after a renewal ---- */

enum half { CERT, KEY };

typedef struct program {
    consul_pairs *pairs;
    consul_leaf *old, *new;
} program;

static int begin(void **state)
{
    static program made;

    now = 1000;
    answering = 0;
    made.pairs = consul_pairs_new();
    made.old = consul_leaf_new(NULL);
    made.new = consul_leaf_new(NULL);
    assert_true(made.pairs != NULL && made.old != NULL && made.new != NULL);
    *state = &made;
    return 0;
}

static int end(void **state)
{
    program *made = *state;

    consul_pairs_free(made->pairs);
    consul_leaf_unref(made->old);
    consul_leaf_unref(made->new);
    return 0;
}

static consul_uri uri_of(const char *service, const char *ns, const char *partition, const char *dc)
{
    consul_uri uri = {.kind = CONSUL_URI_LEAF};

    snprintf(uri.service, sizeof(uri.service), "%s", service);
    snprintf(uri.scope.ns, sizeof(uri.scope.ns), "%s", ns);
    snprintf(uri.scope.partition, sizeof(uri.scope.partition), "%s", partition);
    snprintf(uri.scope.dc, sizeof(uri.scope.dc), "%s", dc);
    return uri;
}

/* Load a half while this leaf is the live one. Return the leaf of that half, borrowed. */
static const consul_leaf *load_by(const program *made, const consul_uri *uri, enum half half,
                                  consul_leaf *live)
{
    consul_leaf *leaf = consul_leaf_ref(live);
    int64_t opened = now;

    now += answering;
    consul_pairs_complete(made->pairs, uri, half == KEY, opened, &leaf);
    consul_leaf_unref(leaf);
    return leaf;
}

static const consul_leaf *load(const program *made, enum half half, consul_leaf *live)
{
    consul_uri web = uri_of("web", "", "", "");

    return load_by(made, &web, half, live);
}

/* ---- the tests ---- */

static void test_the_other_half_is_of_the_same_leaf(void **state)
{
    const program *made = *state;
    enum half first;

    for (first = CERT; first <= KEY; first++) {
        enum half second = first == CERT ? KEY : CERT;

        assert_ptr_equal(load(made, first, made->old), made->old);
        assert_ptr_equal(load(made, second, made->new), made->old);
        assert_ptr_equal(load(made, CERT, made->new), made->old); /* a chain by itself, say */
        now += SECOND_MS;
    }
}

static void test_a_pause_ends_a_pair(void **state)
{
    const program *made = *state;

    load(made, CERT, made->old);
    now += SECOND_MS - 1;
    assert_ptr_equal(load(made, KEY, made->new), made->old);
    now += SECOND_MS;
    assert_ptr_equal(load(made, KEY, made->new), made->new);
    assert_ptr_equal(load(made, CERT, made->old), made->new);
}

/* The agent's time for its answer is no pause. */
static void test_a_slow_agent(void **state)
{
    const program *made = *state;

    answering = 10 * SECOND_MS;
    load(made, CERT, made->old);
    assert_ptr_equal(load(made, KEY, made->new), made->old);
}

/* A program that loads pairs without a pause gets the live leaf with the first half of one. */
static void test_without_a_pause(void **state)
{
    const program *made = *state;
    int64_t begun = now;

    while (now - begun < SECOND_MS) {
        assert_ptr_equal(load(made, KEY, made->old), made->old);
        now += SECOND_MS / 4;
        assert_ptr_equal(load(made, CERT, made->new), made->old);
        now += SECOND_MS / 8;
    }
    assert_ptr_equal(load(made, KEY, made->new), made->new);
    assert_ptr_equal(load(made, CERT, made->old), made->new);
}

static void test_other_names_are_another_pair(void **state)
{
    const program *made = *state;
    consul_uri uris[] = {uri_of("web", "", "", ""), uri_of("db", "", "", ""),
                         uri_of("web", "n", "", ""), uri_of("web", "", "p", ""),
                         uri_of("web", "", "", "d")};
    size_t i;

    load_by(made, &uris[0], CERT, made->old);
    for (i = 1; i < sizeof(uris) / sizeof(uris[0]); i++)
        assert_ptr_equal(load_by(made, &uris[i], KEY, made->new), made->new);
    assert_ptr_equal(load_by(made, &uris[0], KEY, made->new), made->old);
}

static void *load_key(void *arg)
{
    const program *made = arg;

    return (void *)load(made, KEY, made->new);
}

static void test_another_thread_has_its_own(void **state)
{
    program *made = *state;
    pthread_t thread;
    void *loaded;

    load(made, CERT, made->old);
    assert_int_equal(pthread_create(&thread, NULL, load_key, made), 0);
    assert_int_equal(pthread_join(thread, &loaded), 0);
    assert_ptr_equal(loaded, made->new);
    assert_ptr_equal(load(made, KEY, made->new), made->old);
}

/* A program may load any number of services, and no pair stays for ever. */
static void test_they_are_bounded(void **state)
{
    const program *made = *state;
    char service[16];
    consul_uri uri;
    int i, of_old = 0;

    for (i = 0; i < 100; i++) {
        snprintf(service, sizeof(service), "web-%d", i);
        uri = uri_of(service, "", "", "");
        load_by(made, &uri, CERT, made->old);
    }
    assert_ptr_equal(load_by(made, &uri, KEY, made->new), made->old);
    for (i = 99; i >= 0; i--) {
        snprintf(service, sizeof(service), "web-%d", i);
        uri = uri_of(service, "", "", "");
        of_old += load_by(made, &uri, KEY, made->new) == made->old;
    }
    assert_between(of_old, 32, 64);
}

static void test_without_memory_a_half_is_live(void **state)
{
    program *made = *state, without = {.old = made->old, .new = made->new};

    assert_ptr_equal(load(&without, CERT, made->old), made->old);
    assert_ptr_equal(load(&without, KEY, made->new), made->new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_other_half_is_of_the_same_leaf, begin, end),
        cmocka_unit_test_setup_teardown(test_a_pause_ends_a_pair, begin, end),
        cmocka_unit_test_setup_teardown(test_a_slow_agent, begin, end),
        cmocka_unit_test_setup_teardown(test_without_a_pause, begin, end),
        cmocka_unit_test_setup_teardown(test_other_names_are_another_pair, begin, end),
        cmocka_unit_test_setup_teardown(test_another_thread_has_its_own, begin, end),
        cmocka_unit_test_setup_teardown(test_they_are_bounded, begin, end),
        cmocka_unit_test_setup_teardown(test_without_memory_a_half_is_live, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
