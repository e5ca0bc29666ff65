/* SPDX-License-Identifier: Apache-2.0 */
/* An entry: the age at which a leaf still counts, and the handshake that asks for the next one. */
#include "unit.h"

#include <stdio.h>

#include <openssl/evp.h>

#include "cache/epoch.h"
#include "cache/table.h"
#include "identity/snapshots.h"
#include "mint.h"

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

/* ---- the table ---- */

static void test_keys(void **state)
{
    static const consul_scope scopes[] = {
        {.ns = ""}, {.ns = "team"}, {.partition = "team"}, {.dc = "team"}};
    static const char *const services[] = {"web", "api"};
    consul_entry *entries[3][2][4];
    consul_entry *const *all = &entries[0][0][0];
    size_t kind, service, scope, i, k;

    for (i = 0; i < 2; i++) {
        for (kind = 0; kind < 3; kind++) {
            for (service = 0; service < 2; service++) {
                for (scope = 0; scope < 4; scope++) {
                    consul_entry *entry = consul_table_entry(
                        f.live, (enum consul_kind)kind, services[service], &scopes[scope], NULL);

                    assert_non_null(entry);
                    if (i == 0)
                        entries[kind][service][scope] = entry;
                    assert_ptr_equal(entry, entries[kind][service][scope]);
                }
            }
        }
    }
    for (i = 0; i < sizeof(entries) / sizeof(*all); i++) {
        for (k = 0; k < i; k++)
            assert_ptr_not_equal(all[i], all[k]);
    }
}

#define ENTRIES 16384

static void test_a_bounded_number(void **state)
{
    static const consul_scope scope;
    consul_error err = {0};
    char service[16];
    int i;

    for (i = 1; i < ENTRIES; i++) { /* the fixture has one */
        snprintf(service, sizeof(service), "%d", i);
        assert_non_null(consul_table_entry(f.live, CONSUL_KIND_LEAF, service, &scope, NULL));
    }
    assert_null(consul_table_entry(f.live, CONSUL_KIND_LEAF, "more", &scope, &err));
    assert_error(&err, CONSUL_R_OUT_OF_MEMORY, "no entry for \"more\"");
    assert_ptr_equal(consul_table_entry(f.live, CONSUL_KIND_LEAF, "web", &scope, NULL), f.entry);
}

/* ---- roots that a watch vouches for ---- */

#define LOOK_AGE 2000000 /* in microseconds, without a request; a second more during one */

static bool has_roots(int64_t now)
{
    consul_roots *roots = consul_entry_roots_looked_at(f.entry, ASKED + 1, now, false);

    consul_roots_unref(roots);
    return roots != NULL;
}

/* A watch may be broken. So one handshake looks at the roots, and the others wait for a second at most. */
static void test_roots_are_looked_at(void **state)
{
    const int64_t look = ASKED + LOOK_AGE;

    consul_entry_keep_roots(f.entry, f.roots, CONSUL_ASKED_ANEW, ASKED, 0);
    assert_false(has_roots(ASKED + 2)); /* without a watch */
    consul_entry_keep_roots(f.entry, f.roots, CONSUL_WATCHED, ASKED, consul_deadline_after(60000));
    f.entry->being_asked = 0;
    assert_true(has_roots(look - 1));
    assert_false(has_roots(look)); /* asks */
    assert_true(has_roots(look + 1));
    assert_true(has_roots(look + 499999));
    assert_false(has_roots(look + 500000)); /* asks, too */
    assert_true(has_roots(look + 999999));
    assert_false(has_roots(look + 1000000));
    consul_entry_stop_vouching(f.entry);
    assert_false(has_roots(ASKED + 2));
}

/* An answer yields to a later one, and that of a handshake to a watch. A doubt overrules both, and ends the vouching. */
static void test_which_answer_is_kept(void **state)
{
    const consul_deadline until = consul_deadline_after(60000);
    consul_roots *other = consul_roots_new(NULL, NULL);

    assert_true(consul_entry_keep_roots(f.entry, f.roots, CONSUL_ASKED_ANEW, ASKED, 0));
    assert_false(consul_entry_keep_roots(f.entry, other, CONSUL_ASKED_ANEW, ASKED - 1, 0));
    assert_ptr_equal(f.entry->roots, f.roots);
    assert_true(consul_entry_keep_roots(f.entry, f.roots, CONSUL_WATCHED, ASKED, until));
    assert_false(consul_entry_keep_roots(f.entry, other, CONSUL_ASKED, ASKED + 1, 0));
    assert_true(consul_entry_keep_roots(f.entry, f.roots, CONSUL_ASKED_ANEW, ASKED + 1, 0));
    assert_int_equal(f.entry->fresh_until, until);
    assert_true(consul_entry_keep_roots(f.entry, other, CONSUL_ASKED_ANEW, ASKED + 2, 0));
    assert_ptr_equal(f.entry->roots, other);
    assert_int_equal(f.entry->fresh_until, 0);
    consul_roots_unref(other);
}

#define TD "11111111-2222-3333-4444-555555555555.consul"

/* Make roots of the mesh without a certificate. */
static consul_roots *make_roots(void)
{
    consul_roots *roots = consul_roots_new(NULL, NULL);

    roots->trust_domain = OPENSSL_strdup(TD);
    return roots;
}

static consul_leaf *make_leaf(const minted *one)
{
    consul_leaf *leaf = consul_leaf_new(NULL);

    leaf->cert = X509_dup(one->cert);
    assert_true(consul_spiffe_id_of_cert(leaf->cert, &leaf->id, NULL));
    return leaf;
}

/* A chain is verified once for its leaf and its roots, and again when a certificate may have expired. */
static void test_a_checked_chain(void **state)
{
    minted ca = mint_ca(TD), web = mint_leaf(&ca, TD, "web");
    minted foreign_ca = mint_ca(TD), impostor = mint_leaf(&foreign_ca, TD, "web");
    consul_roots *roots = make_roots(), *others = make_roots();
    consul_leaf *leaf = make_leaf(&web), *foreign = make_leaf(&impostor);
    bool stale;

    assert_true(sk_X509_push(roots->certs, ca.cert));
    consul_entry_keep_leaf(f.entry, leaf, NULL, CONSUL_ASKED_ANEW, ASKED + 1, 0);
    assert_true(consul_entry_check_leaf(f.entry, leaf, roots, &stale, NULL));
    sk_X509_pop(roots->certs); /* it would be verified no more */
    assert_true(consul_entry_check_leaf(f.entry, leaf, roots, &stale, NULL));
    assert_false(consul_entry_check_leaf(f.entry, foreign, roots, &stale, NULL));
    assert_true(stale);
    assert_false(consul_entry_check_leaf(f.entry, leaf, others, &stale, NULL));
    assert_true(stale);
    f.entry->checked_until = time(NULL);
    assert_false(consul_entry_check_leaf(f.entry, leaf, roots, &stale, NULL));
    consul_leaf_unref(leaf);
    consul_leaf_unref(foreign);
    consul_roots_unref(roots);
    consul_roots_unref(others);
    minted_free(&impostor);
    minted_free(&foreign_ca);
    minted_free(&web);
    minted_free(&ca);
}

/* ---- epochs ---- */

#define SETTLING 3000 /* in milliseconds */

/* Return the epoch of an entry that has settled. */
static uint64_t settled_epoch(void)
{
    assert_int_equal(consul_entry_epoch(f.entry), 0); /* the agent's verdicts may be older */
    f.entry->epoch_began -= SETTLING;
    return consul_entry_epoch(f.entry);
}

static void test_epochs(void **state)
{
    const consul_deadline until = consul_deadline_after(60000);
    uint64_t first, second, third;

    consul_entry_keep_epoch(f.entry, false, 5, until);
    first = settled_epoch();
    assert_int_not_equal(first, 0);
    consul_entry_keep_epoch(f.entry, false, 5, until);
    assert_int_equal(consul_entry_epoch(f.entry), first);
    consul_entry_keep_epoch(f.entry, true, 6, until); /* news */
    second = settled_epoch();
    assert_true(second > first);
    consul_entry_stop_vouching(f.entry);
    assert_int_equal(consul_entry_epoch(f.entry), 0);
    consul_entry_keep_epoch(f.entry, false, 6,
                            until); /* a gap, in which a change may have come and gone */
    third = settled_epoch();
    assert_true(third > second);
    f.entry->fresh_until = consul_now_ms() - 1;
    assert_int_equal(consul_entry_epoch(f.entry), 0);
}

static void test_changes(void **state)
{
    const consul_deadline until = consul_deadline_after(60000);
    int64_t before = consul_now_ms();

    consul_entry_keep_epoch(f.entry, true, 5, until);
    assert_false(consul_entry_has_changed(f.entry, before)); /* the first answer is no change */
    consul_entry_keep_epoch(f.entry, true, 5, until);
    assert_false(consul_entry_has_changed(f.entry, before));
    consul_entry_keep_epoch(f.entry, true, 6, until);
    assert_true(consul_entry_has_changed(f.entry, before));
    assert_true(consul_entry_has_changed(f.entry, f.entry->changed + SETTLING - 1));
    assert_false(consul_entry_has_changed(f.entry, f.entry->changed + SETTLING));
}

/* ---- answers that were decoded before ---- */

static bool has_digests = true;

int __real_EVP_Digest(const void *data, size_t count, unsigned char *md, unsigned int *size,
                      const EVP_MD *type, ENGINE *impl);
int __wrap_EVP_Digest(const void *data, size_t count, unsigned char *md, unsigned int *size,
                      const EVP_MD *type, ENGINE *impl);

int __wrap_EVP_Digest(const void *data, size_t count, unsigned char *md, unsigned int *size,
                      const EVP_MD *type, ENGINE *impl)
{
    return has_digests ? __real_EVP_Digest(data, count, md, size, type, impl) : 0;
}

/* An answer is decoded, unless the kept one has the same digest. Without memory there is no digest. */
static void test_other_answers(void **state)
{
    char body[] = "not JSON";
    const consul_answer answer = {.body = body, .len = sizeof(body) - 1};
    consul_error err = {0};
    int i;

    consul_entry_keep_roots(f.entry, f.roots, CONSUL_ASKED_ANEW, ASKED, 0);
    for (i = 0; i < 2; i++) {
        has_digests = i == 0;
        assert_null(consul_entry_decode_roots(f.entry, &answer, NULL, &err));
        assert_null(consul_entry_decode_leaf(f.entry, &answer, NULL, &err));
    }
    has_digests = true;
    assert_int_equal(EVP_Digest(body, sizeof(body) - 1, f.roots->digest, NULL, EVP_sha256(), NULL),
                     1);
    memcpy(f.leaf->digest, f.roots->digest, sizeof(f.leaf->digest));
    assert_ptr_equal(consul_entry_decode_roots(f.entry, &answer, NULL, NULL), f.roots);
    consul_roots_unref(f.roots);
    assert_ptr_equal(consul_entry_decode_leaf(f.entry, &answer, NULL, NULL), f.leaf);
    consul_leaf_unref(f.leaf);
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
        cmocka_unit_test_setup_teardown(test_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_bounded_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_roots_are_looked_at, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_which_answer_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_checked_chain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_epochs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_answers, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
