/* Verdicts of before: however many there are, what is found is what was noted, or nothing. */
#include "unit.h"

#include <malloc.h>
#include <stdio.h>

#include "internal.h"

#define PEERS 100000 /* far more than are kept */
#define MILLION 1000000

static consul_spiffe_id target = {.uri = "spiffe://td.consul/ns/default/dc/dc1/svc/web"};

static consul_spiffe_id peer(int number)
{
    consul_spiffe_id id = {.service = ""};

    snprintf(id.uri, sizeof(id.uri), "spiffe://td.consul/ns/default/dc/dc1/svc/peer-%d", number);
    return id;
}

static consul_known_verdict verdict_about(int number)
{
    consul_known_verdict verdict = {
        .verdict = number % 3 == 0 ? CONSUL_VERDICT_NO : CONSUL_VERDICT_YES,
        .epoch = (uint64_t)number,
        .asked = number,
    };

    memcpy(verdict.peer, &number, sizeof(number));
    return verdict;
}

static void test_crowd(void **state)
{
    consul_known *known = consul_known_new(NULL);
    int i, found = 0;

    assert_non_null(known);
    for (i = 1; i <= PEERS; i++) {
        consul_spiffe_id id = peer(i);
        consul_known_verdict verdict = verdict_about(i);

        consul_known_note(known, &target, &id, &verdict);
        assert_int_equal(consul_known_find(known, &target, &id).epoch, i);
    }
    for (i = 1; i <= PEERS; i++) {
        consul_spiffe_id id = peer(i);
        consul_known_verdict is = consul_known_find(known, &target, &id);
        consul_known_verdict was = verdict_about(i);

        if (is.verdict == CONSUL_VERDICT_NONE)
            continue;
        found++;
        assert_int_equal(is.verdict, was.verdict);
        assert_int_equal(is.epoch, was.epoch);
        assert_memory_equal(is.peer, was.peer, sizeof(was.peer));
    }
    assert_in_range(found, 1, 2000);
    consul_known_free(known);
}

/* What the process has allocated, in bytes; 0 with a sanitizer, which has its own ways to tell. */
static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* Whoever has a certificate for each of a million names takes no memory for that. */
static void test_a_million_clients(void **state)
{
    consul_known *known = consul_known_new(NULL);
    consul_spiffe_id id;
    consul_known_verdict verdict;
    size_t before = 0;
    int i;

    assert_non_null(known);
    for (i = 0; i < MILLION; i++) {
        id = peer(i);
        verdict = verdict_about(i);
        if (i == 1) /* libcrypto has fetched what it needs */
            before = allocated();
        consul_known_note(known, &target, &id, &verdict);
    }
    assert_in_range(allocated(), before - before / 100, before);
    assert_int_equal(consul_known_find(known, &target, &id).epoch, MILLION - 1);
    consul_known_free(known);
}

/* Where two handshakes ask at a time, the answer to the later question is the one that is kept. */
static void test_order(void **state)
{
    consul_known *known = consul_known_new(NULL);
    consul_spiffe_id id = peer(1);
    consul_known_verdict early = {.verdict = CONSUL_VERDICT_YES, .asked = 10},
                         late = {.verdict = CONSUL_VERDICT_NO, .asked = 11};

    consul_known_note(known, &target, &id, &late);
    consul_known_note(known, &target, &id, &early);
    assert_int_equal(consul_known_find(known, &target, &id).verdict, CONSUL_VERDICT_NO);
    late.asked = 12;
    late.verdict = CONSUL_VERDICT_YES;
    consul_known_note(known, &target, &id, &late);
    assert_int_equal(consul_known_find(known, &target, &id).verdict, CONSUL_VERDICT_YES);
    consul_known_free(known);
}

/* Whose verdict, and about whom: one does not run over into the other. */
static void test_pairs(void **state)
{
    consul_known *known = consul_known_new(NULL);
    consul_spiffe_id one = {.uri = "spiffe://td/a"}, other = {.uri = "spiffe://td/b"};
    consul_spiffe_id third = {.uri = "spiffe://td/ns/a"};
    consul_spiffe_id longer = {.uri = "spiffe://td/as"}, rest = {.uri = "piffe://td/b"};
    consul_known_verdict yes = {.verdict = CONSUL_VERDICT_YES, .asked = 1};

    consul_known_note(known, &one, &other, &yes);
    assert_int_equal(consul_known_find(known, &one, &other).verdict, CONSUL_VERDICT_YES);
    assert_int_equal(consul_known_find(known, &other, &one).verdict, CONSUL_VERDICT_NONE);
    assert_int_equal(consul_known_find(known, &third, &other).verdict, CONSUL_VERDICT_NONE);
    assert_int_equal(consul_known_find(known, &one, &third).verdict, CONSUL_VERDICT_NONE);
    assert_int_equal(consul_known_find(known, &longer, &rest).verdict, CONSUL_VERDICT_NONE);
    assert_int_equal(consul_known_find(known, &one, &one).verdict, CONSUL_VERDICT_NONE);
    consul_known_free(known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_a_million_clients),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
