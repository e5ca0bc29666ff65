/* SPDX-License-Identifier: Apache-2.0 */
/* An entry: the age at which a leaf still counts, and the handshake that asks for the next one. */
#include "unit.h"

#include "cache/table.h"

#define ASKED 1000000 /* in microseconds, when the leaf was asked for */
#define AGE CONSUL_CROWD_AGE_US

typedef struct fixture {
    consul_table *live;
    consul_entry *entry;
    consul_leaf *leaf;
    consul_roots *roots;
} fixture;

static fixture f;

static int set_up(void **state)
{
    static const consul_scope scope;

    f.live = consul_table_new(NULL, NULL);
    f.entry = consul_table_entry(f.live, CONSUL_KIND_LEAF, "web", &scope, NULL);
    f.leaf = consul_leaf_new(NULL);
    f.roots = consul_roots_new(NULL, NULL);
    consul_entry_keep_leaf(f.entry, f.leaf, f.roots, CONSUL_ASKED, ASKED, 0);
    return 0;
}

static int tear_down(void **state)
{
    consul_leaf_unref(f.leaf);
    consul_roots_unref(f.roots);
    consul_table_free(f.live);
    return 0;
}

/* Return true where a handshake has a leaf that begins then. Otherwise it asks. */
static bool has_one(int64_t since)
{
    consul_leaf *leaf = consul_entry_leaf(f.entry, since);

    consul_leaf_unref(leaf);
    return leaf != NULL;
}

static bool has_one_in_crowd(int64_t since)
{
    consul_leaf *leaf = consul_entry_leaf_when_busy(f.entry, since, since);

    consul_leaf_unref(leaf);
    return leaf != NULL;
}

static void test_alone(void **state)
{
    assert_true(has_one(ASKED - 1));
    assert_true(has_one(ASKED));
    assert_false(has_one(ASKED + 1));
}

static void test_one_of_a_crowd_asks(void **state)
{
    int64_t moment = ASKED + AGE + 1;
    int i;

    for (i = 0; i <= 20; i++)
        assert_true(has_one_in_crowd(ASKED + i * AGE / 20));
    assert_false(has_one_in_crowd(moment));
    for (i = 0; i < 20; i++)
        assert_true(has_one_in_crowd(moment + i * AGE / 20));
    consul_entry_keep_leaf(f.entry, f.leaf, f.roots, CONSUL_ASKED, moment, 0);
    for (i = 0; i <= 20; i++)
        assert_true(has_one_in_crowd(moment + i * AGE / 20));
    assert_false(has_one_in_crowd(moment + AGE + 1));
}

/* The asking handshake may be slow, or fail. Another one tries, and all do once the leaf is too old. */
static void test_who_asks_is_slow(void **state)
{
    int64_t end = ASKED + CONSUL_CROWD_AGE_ASKED_US, first = ASKED + AGE + 1;

    assert_true(first + AGE < end);
    assert_false(has_one_in_crowd(first));
    assert_true(has_one_in_crowd(first + AGE - 1));
    assert_false(has_one_in_crowd(first + AGE));
    assert_true(has_one_in_crowd(end < first + 2 * AGE ? end : first + 2 * AGE - 1));
    assert_false(has_one_in_crowd(end + 1));
    assert_false(has_one_in_crowd(end + 2));
}

/* A watch may vouch for the leaf of handshakes and for a new one, not for a possibly earlier one. */
static void test_a_watch_that_asked_before(void **state)
{
    consul_deadline long_from_now = consul_deadline_after(60000);
    consul_leaf *before = consul_leaf_new(NULL);

    assert_true(
        consul_entry_keep_leaf(f.entry, f.leaf, f.roots, CONSUL_WATCHED, ASKED - 1, long_from_now));
    assert_true(has_one(INT64_MAX));
    assert_false(
        consul_entry_keep_leaf(f.entry, before, f.roots, CONSUL_WATCHED, ASKED - 1, long_from_now));
    assert_false(has_one(INT64_MAX));
    assert_ptr_equal(f.entry->leaf, f.leaf);
    assert_true(
        consul_entry_keep_leaf(f.entry, before, f.roots, CONSUL_WATCHED, ASKED, long_from_now));
    assert_true(has_one(INT64_MAX));
    assert_ptr_equal(f.entry->leaf, before);
    consul_leaf_unref(before);
}

/* No handshake goes on without a leaf. */
static void test_no_leaf_yet(void **state)
{
    static const consul_scope scope;

    f.entry = consul_table_entry(f.live, CONSUL_KIND_LEAF, "api", &scope, NULL);
    assert_false(has_one_in_crowd(ASKED));
    assert_false(has_one_in_crowd(ASKED));
}

/* Return how often it may be doubted just now, where each doubt takes so long. */
static int count_doubts(int64_t took)
{
    int doubts = 0;

    for (; doubts < 100 && consul_entry_begin_doubt(f.entry); doubts++)
        consul_entry_end_doubt(f.entry, took);
    return doubts;
}

static void test_doubts_have_a_share(void **state)
{
    assert_int_equal(count_doubts(1), CONSUL_DOUBTS_AT_ONCE);
    assert_int_equal(count_doubts(1), 0);
}

/* The agent may take long: the next doubt waits until all of them have had their share of the time. */
static void test_doubts_of_a_slow_agent(void **state)
{
    const int64_t in_share = CONSUL_DOUBT_MS / CONSUL_DOUBT_SHARE, slow = CONSUL_DOUBT_MS;
    const int64_t paid = slow * CONSUL_DOUBT_SHARE;

    assert_int_equal(count_doubts(in_share), CONSUL_DOUBTS_AT_ONCE);
    f.entry->doubts_paid = 0;
    assert_int_equal(count_doubts(slow), 1);
    f.entry->doubts_paid = consul_deadline_after(-CONSUL_DOUBT_MS - in_share);
    assert_int_equal(count_doubts(slow), 1);
    f.entry->doubts_paid -= paid - CONSUL_DOUBT_MS;
    assert_int_equal(count_doubts(1), 0);
    f.entry->doubts_paid -= CONSUL_DOUBT_MS;
    assert_int_equal(count_doubts(1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_of_a_crowd_asks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_asks_is_slow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_watch_that_asked_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_leaf_yet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_doubts_have_a_share, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_doubts_of_a_slow_agent, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
