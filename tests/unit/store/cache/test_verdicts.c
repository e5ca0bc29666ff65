/* SPDX-License-Identifier: Apache-2.0 */
/* Earlier verdicts: a search finds the noted verdict or nothing, however many there are. */
#include "unit.h"

#include <malloc.h>
#include <stdio.h>

#include <openssl/evp.h>

#include "cache/verdicts.h"

#define PEERS 100000 /* far more than are kept */
#define MILLION 1000000

static consul_spiffe_id target = {.uri = "spiffe://td.consul/ns/default/dc/dc1/svc/web"};

static consul_spiffe_id peer(int number)
{
    consul_spiffe_id id = {.service = ""};

    snprintf(id.uri, sizeof(id.uri), "spiffe://td.consul/ns/default/dc/dc1/svc/peer-%d", number);
    return id;
}

typedef struct digest {
    unsigned char bytes[CONSUL_DIGEST_LEN];
} digest;

/* Make the digest of a certificate. */
static digest cert(int number)
{
    digest made = {{[CONSUL_DIGEST_LEN - 1] = 1}}; /* zeros are no digest */

    memcpy(made.bytes, &number, sizeof(number));
    return made;
}

static consul_kept_verdict verdict_about(int number)
{
    return (consul_kept_verdict){
        .verdict = number % 3 == 0 ? CONSUL_VERDICT_NO : CONSUL_VERDICT_YES,
        .epoch = (uint64_t)number,
        .asked = number,
    };
}

static void note(consul_verdicts *known, const consul_spiffe_id *id, int certificate,
                 enum consul_verdict verdict, int64_t asked)
{
    const consul_kept_verdict said = {.verdict = verdict, .epoch = 1, .asked = asked};

    consul_verdicts_note(known, &target, id, cert(certificate).bytes, &said);
}

static enum consul_verdict about(const consul_verdicts *known, const consul_spiffe_id *id,
                                 int certificate)
{
    return consul_verdicts_find(known, &target, id, cert(certificate).bytes).verdict;
}

static enum consul_verdict last(const consul_verdicts *known, const consul_spiffe_id *id)
{
    return consul_verdicts_last(known, &target, id).verdict;
}

static void assert_same(const consul_kept_verdict *is, const consul_kept_verdict *was)
{
    assert_int_equal(is->verdict, was->verdict);
    assert_int_equal(is->epoch, was->epoch);
    assert_int_equal(is->asked, was->asked);
}

static void test_crowd(void **state)
{
    consul_verdicts *known = consul_verdicts_new(NULL, NULL);
    int i, by_identity = 0, by_chain = 0;

    assert_non_null(known);
    for (i = 1; i <= PEERS; i++) {
        consul_spiffe_id id = peer(i);
        consul_kept_verdict verdict = verdict_about(i);

        consul_verdicts_note(known, &target, &id, cert(i).bytes, &verdict);
        assert_int_equal(consul_verdicts_find(known, &target, &id, cert(i).bytes).epoch, i);
        assert_int_equal(consul_verdicts_last(known, &target, &id).epoch, i);
    }
    for (i = 1; i <= PEERS; i++) {
        consul_spiffe_id id = peer(i);
        consul_kept_verdict ahead = consul_verdicts_find(known, &target, &id, cert(i).bytes);
        consul_kept_verdict is = consul_verdicts_last(known, &target, &id);
        consul_kept_verdict was = verdict_about(i);

        assert_int_equal(consul_verdicts_find(known, &target, &id, cert(i + PEERS).bytes).verdict,
                         CONSUL_VERDICT_NONE);
        if (is.verdict != CONSUL_VERDICT_NONE) {
            by_identity++;
            assert_same(&is, &was);
        }
        if (ahead.verdict != CONSUL_VERDICT_NONE) {
            by_chain++;
            assert_same(&ahead, &was);
        }
    }
    assert_int_equal(by_identity, CONSUL_VERDICTS_KEPT);
    assert_between(by_chain, CONSUL_VERDICTS_KEPT / 2, CONSUL_VERDICTS_KEPT); /* in both tables */
    consul_verdicts_free(known);
}

/* Return the bytes that the process has allocated, or 0 with a sanitizer, which sees leaks itself. */
static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* A client with a certificate for each of a million names takes no memory by that. */
static void test_a_million_clients(void **state)
{
    consul_verdicts *known = consul_verdicts_new(NULL, NULL);
    consul_spiffe_id id;
    consul_kept_verdict verdict;
    size_t before = 0;
    int i;

    assert_non_null(known);
    for (i = 0; i < MILLION; i++) {
        id = peer(i);
        verdict = verdict_about(i);
        if (i == 1) /* libcrypto has fetched its algorithms */
            before = allocated();
        consul_verdicts_note(known, &target, &id, cert(i).bytes, &verdict);
    }
    assert_between(allocated(), before - before / 100, before);
    assert_int_equal(consul_verdicts_last(known, &target, &id).epoch, MILLION - 1);
    assert_int_equal(about(known, &id, MILLION - 1), verdict.verdict);
    consul_verdicts_free(known);
}

/* Where two handshakes ask at a time, the answer to the later question is the one that is kept. */
static void test_order(void **state)
{
    consul_verdicts *known = consul_verdicts_new(NULL, NULL);
    consul_spiffe_id id = peer(1);

    note(known, &id, 1, CONSUL_VERDICT_NO, 11);
    note(known, &id, 1, CONSUL_VERDICT_YES, 10);
    assert_int_equal(about(known, &id, 1), CONSUL_VERDICT_NO);
    assert_int_equal(last(known, &id), CONSUL_VERDICT_NO);
    note(known, &id, 1, CONSUL_VERDICT_YES, 11); /* of the same moment */
    assert_int_equal(last(known, &id), CONSUL_VERDICT_NO);
    note(known, &id, 1, CONSUL_VERDICT_YES, 12);
    assert_int_equal(about(known, &id, 1), CONSUL_VERDICT_YES);
    assert_int_equal(last(known, &id), CONSUL_VERDICT_YES);
    note(known, &id, 2, CONSUL_VERDICT_NO, 10); /* a no counts whenever it comes */
    assert_int_equal(about(known, &id, 1), CONSUL_VERDICT_NONE);
    assert_int_equal(last(known, &id), CONSUL_VERDICT_NO);
    consul_verdicts_free(known);
}

/* A few names do not take each other's places. */
static void test_few(void **state)
{
    consul_spiffe_id ids[8];
    int i, turn;

    for (turn = 0; turn < 1000; turn++) {
        consul_verdicts *known = consul_verdicts_new(NULL, NULL);

        for (i = 0; i < 8; i++) {
            ids[i] = peer(8 * turn + i);
            note(known, &ids[i], i, CONSUL_VERDICT_YES, 1 + i);
        }
        for (i = 0; i < 8; i++)
            assert_int_equal(about(known, &ids[i], i), CONSUL_VERDICT_YES);
        consul_verdicts_free(known);
    }
}

/* A no may have lost its place. A yes that was asked for before it does not follow it. */
static void test_a_no_that_went(void **state)
{
    consul_verdicts *known = consul_verdicts_new(NULL, NULL);
    consul_spiffe_id id = peer(0), other;
    int i;

    note(known, &id, 0, CONSUL_VERDICT_NO, 10);
    for (i = 1; i < PEERS; i++) {
        other = peer(i);
        note(known, &other, i, CONSUL_VERDICT_YES, 10 + i);
    }
    assert_int_equal(last(known, &id), CONSUL_VERDICT_NONE);
    note(known, &id, 0, CONSUL_VERDICT_YES, 9);
    note(known, &id, 0, CONSUL_VERDICT_YES, 10);
    assert_int_equal(last(known, &id), CONSUL_VERDICT_NONE);
    note(known, &id, 0, CONSUL_VERDICT_YES, 10 + PEERS);
    assert_int_equal(last(known, &id), CONSUL_VERDICT_YES);
    consul_verdicts_free(known);
}

/* Replicas have one identity, and a certificate each. All are known at a time. */
static void test_replicas(void **state)
{
    consul_verdicts *known = consul_verdicts_new(NULL, NULL);
    consul_spiffe_id id = peer(1);
    int i;

    for (i = 0; i < 10; i++)
        note(known, &id, i, CONSUL_VERDICT_YES, 1 + i);
    for (i = 0; i < 10; i++)
        assert_int_equal(about(known, &id, i), CONSUL_VERDICT_YES);
    assert_int_equal(about(known, &id, 10), CONSUL_VERDICT_NONE);
    assert_int_equal(last(known, &id), CONSUL_VERDICT_YES); /* and of one that was renewed */
    consul_verdicts_free(known);
}

/* A no is about the identity, also where it was said to another of its certificates. */
static void test_a_replica_that_is_denied(void **state)
{
    static const enum consul_verdict ends[] = {CONSUL_VERDICT_NO, CONSUL_VERDICT_NONE};
    consul_spiffe_id id = peer(1);
    size_t i;

    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        consul_verdicts *known = consul_verdicts_new(NULL, NULL);

        note(known, &id, 1, CONSUL_VERDICT_YES, 10);
        note(known, &id, 2, ends[i], 9); /* asked for before, perhaps, but said last */
        assert_int_equal(about(known, &id, 1), CONSUL_VERDICT_NONE);
        assert_int_equal(last(known, &id), ends[i]);
        consul_verdicts_free(known);
    }
}

/* Chains of which no digest could be made are not one chain; the identity is known. */
static void test_no_digest(void **state)
{
    static const unsigned char none[CONSUL_DIGEST_LEN];
    const consul_kept_verdict yes = {.verdict = CONSUL_VERDICT_YES, .epoch = 1, .asked = 10};
    const consul_kept_verdict no = {.verdict = CONSUL_VERDICT_NO, .epoch = 1, .asked = 11};
    consul_verdicts *known = consul_verdicts_new(NULL, NULL);
    consul_spiffe_id id = peer(1);

    consul_verdicts_note(known, &target, &id, none, &yes);
    assert_int_equal(consul_verdicts_find(known, &target, &id, none).verdict, CONSUL_VERDICT_NONE);
    assert_int_equal(last(known, &id), CONSUL_VERDICT_YES);
    note(known, &id, 1, CONSUL_VERDICT_YES, 10);
    consul_verdicts_note(known, &target, &id, none, &no);
    assert_int_equal(about(known, &id, 1), CONSUL_VERDICT_NONE);
    assert_int_equal(last(known, &id), CONSUL_VERDICT_NO);
    consul_verdicts_free(known);
}

/* Return the number of the first certificate from `number` on whose verdict shares its set with that of no digest. */
static int next_of_no_digest(int number)
{
    static const unsigned char none[CONSUL_DIGEST_LEN];
    unsigned char key[CONSUL_DIGEST_LEN], wanted[CONSUL_DIGEST_LEN], data[2 * CONSUL_URI_MAX];
    size_t len = strlen(target.uri) + 1;

    memcpy(data, target.uri, len);
    memcpy(data + len, none, sizeof(none));
    EVP_Digest(data, len + sizeof(none), wanted, NULL, EVP_sha256(), NULL);
    for (;; number++) {
        memcpy(data + len, cert(number).bytes, CONSUL_DIGEST_LEN);
        EVP_Digest(data, len + CONSUL_DIGEST_LEN, key, NULL, EVP_sha256(), NULL);
        if (key[0] == wanted[0])
            return number;
    }
}

/* A verdict on a chain without a digest takes no place from another one. */
static void test_no_digest_has_no_place(void **state)
{
    static const unsigned char none[CONSUL_DIGEST_LEN];
    const consul_kept_verdict yes = {.verdict = CONSUL_VERDICT_YES, .epoch = 1, .asked = 50};
    consul_verdicts *known = consul_verdicts_new(NULL, NULL);
    consul_spiffe_id id = peer(1);
    int first = next_of_no_digest(1), number = first, i;

    for (i = 0; i < 8; i++) {
        note(known, &id, number, CONSUL_VERDICT_YES, 10 + i);
        number = next_of_no_digest(number + 1);
    }
    consul_verdicts_note(known, &target, &id, none, &yes);
    assert_int_equal(about(known, &id, first), CONSUL_VERDICT_YES);
    consul_verdicts_free(known);
}

/* A verdict belongs to a target and a peer: the one name does not run over into the other. */
static void test_pairs(void **state)
{
    consul_verdicts *known = consul_verdicts_new(NULL, NULL);
    consul_spiffe_id one = {.uri = "spiffe://td/a"}, other = {.uri = "spiffe://td/b"};
    consul_spiffe_id third = {.uri = "spiffe://td/ns/a"};
    consul_spiffe_id longer = {.uri = "spiffe://td/as"}, rest = {.uri = "piffe://td/b"};
    consul_kept_verdict yes = {.verdict = CONSUL_VERDICT_YES, .asked = 1};
    const struct {
        const consul_spiffe_id *target, *peer;
        enum consul_verdict verdict;
    } rows[] = {
        {&one, &other, CONSUL_VERDICT_YES},    {&other, &one, CONSUL_VERDICT_NONE},
        {&third, &other, CONSUL_VERDICT_NONE}, {&one, &third, CONSUL_VERDICT_NONE},
        {&longer, &rest, CONSUL_VERDICT_NONE}, {&one, &one, CONSUL_VERDICT_NONE},
    };
    size_t i;

    consul_verdicts_note(known, &one, &other, cert(1).bytes, &yes);
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(consul_verdicts_last(known, rows[i].target, rows[i].peer).verdict,
                         rows[i].verdict);
        assert_int_equal(
            consul_verdicts_find(known, rows[i].target, rows[i].peer, cert(1).bytes).verdict,
            rows[i].verdict);
    }
    consul_verdicts_free(known);
}

/* Two processes know different things. The answer to the later question counts. */
static void test_siblings(void **state)
{
    consul_family *family = consul_family_new();
    consul_verdicts *known = consul_verdicts_new(family, NULL);
    consul_verdicts *siblings = consul_verdicts_new(family, NULL);
    consul_spiffe_id id = peer(1), other = peer(2);

    assert_non_null(known);
    assert_non_null(siblings);
    note(known, &id, 1, CONSUL_VERDICT_NO, 200); /* for this process alone */
    consul_family_look(family);
    note(siblings, &id, 1, CONSUL_VERDICT_YES, 100);
    note(siblings, &other, 2, CONSUL_VERDICT_YES, 100);
    assert_int_equal(about(known, &id, 1), CONSUL_VERDICT_NO);
    assert_int_equal(last(known, &id), CONSUL_VERDICT_NO);
    assert_int_equal(about(known, &other, 2), CONSUL_VERDICT_YES);
    assert_int_equal(last(known, &other), CONSUL_VERDICT_YES);
    note(siblings, &other, 3, CONSUL_VERDICT_NO, 300); /* with another certificate */
    assert_int_equal(about(known, &other, 2), CONSUL_VERDICT_NONE);
    consul_verdicts_free(known);
    consul_verdicts_free(siblings);
    consul_family_free(family);
}

static bool has_memory = true;

EVP_MD_CTX *__real_EVP_MD_CTX_new(void);
EVP_MD_CTX *__wrap_EVP_MD_CTX_new(void);

EVP_MD_CTX *__wrap_EVP_MD_CTX_new(void)
{
    return has_memory ? __real_EVP_MD_CTX_new() : NULL;
}

/* Without memory it is not known whose place a verdict has. So no earlier yes counts, and no late one. */
static void test_without_memory(void **state)
{
    consul_verdicts *known = consul_verdicts_new(NULL, NULL);
    consul_spiffe_id id = peer(1), other = peer(2);

    note(known, &id, 1, CONSUL_VERDICT_YES, 10);
    note(known, &other, 2, CONSUL_VERDICT_YES, 30);
    has_memory = false;
    assert_int_equal(about(known, &id, 1), CONSUL_VERDICT_NONE);
    assert_int_equal(last(known, &id), CONSUL_VERDICT_NONE);
    note(known, &id, 1, CONSUL_VERDICT_NO, 20);
    has_memory = true;
    assert_int_equal(about(known, &id, 1), CONSUL_VERDICT_NONE);
    assert_int_equal(last(known, &id), CONSUL_VERDICT_NONE);
    assert_int_equal(last(known, &other), CONSUL_VERDICT_NONE);
    note(known, &id, 1, CONSUL_VERDICT_YES, 20); /* asked for before the no, perhaps */
    assert_int_equal(last(known, &id), CONSUL_VERDICT_NONE);
    note(known, &id, 1, CONSUL_VERDICT_YES, 31);
    assert_int_equal(about(known, &id, 1), CONSUL_VERDICT_YES);
    consul_verdicts_free(known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_a_million_clients),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_few),
        cmocka_unit_test(test_a_no_that_went),
        cmocka_unit_test(test_replicas),
        cmocka_unit_test(test_a_replica_that_is_denied),
        cmocka_unit_test(test_no_digest),
        cmocka_unit_test(test_no_digest_has_no_place),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_siblings),
        cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
