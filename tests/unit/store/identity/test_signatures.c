/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures that were verified before: the cases in which they need no verification, and others. */
#include "unit.h"

#include <malloc.h>
#include <pthread.h>
#include <time.h>

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "identity/snapshots.h"
#include "mint.h"

#define TD "td.consul"
#define URI(service) .names = {{GEN_URI, "spiffe://" TD "/ns/default/dc/dc1/svc/" service, 0}}

static minted ca, twin; /* another CA with the same name and key identifier, but another key */

/* The wall clock of this process, libcrypto's too: so many seconds off. */
static atomic_int step;

static time_t stopped_at; /* the time of a clock that stands still, or 0 */

__attribute__((visibility("default"))) time_t time(time_t *result)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec = stopped_at != 0 ? stopped_at : now.tv_sec + atomic_load(&step);
    if (result != NULL)
        *result = now.tv_sec;
    return now.tv_sec;
}

static consul_signatures *signatures;
static _Thread_local unsigned char digest[CONSUL_DIGEST_LEN]; /* of the last chain */

/* How often OpenSSL was left to verify signatures. */
static atomic_int verified;
static _Atomic(X509_STORE_CTX_verify_fn) openssls; /* the same for all */

static int count(X509_STORE_CTX *ctx)
{
    atomic_fetch_add(&verified, 1);
    return atomic_load(&openssls)(ctx);
}

/* Believe a chain unverified, as no test can sign so many. */
static int believe(X509_STORE_CTX *ctx)
{
    atomic_fetch_add(&verified, 1);
    return 1;
}

static int judge_with(X509_STORE_CTX_verify_fn verify, X509 *cert, X509 *between, X509 *root)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *roots = sk_X509_new_null(), *untrusted = sk_X509_new_null();
    int error;

    assert_true(sk_X509_push(roots, root) > 0);
    if (between != NULL)
        assert_true(sk_X509_push(untrusted, between) > 0);
    assert_int_equal(X509_STORE_CTX_init(ctx, NULL, cert, untrusted), 1);
    X509_STORE_CTX_set0_trusted_stack(ctx, roots);
    X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN);
    atomic_store(&openssls, X509_STORE_CTX_get_verify(ctx));
    X509_STORE_CTX_set_verify(ctx, verify);
    error = consul_verify_remembering(ctx, signatures, digest) == 1 ? X509_V_OK
                                                                    : X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    sk_X509_free(roots);
    sk_X509_free(untrusted);
    return error;
}

/* Return the X509_V_ERR_ code of this chain under one root. */
static int judge(X509 *cert, X509 *between, X509 *root)
{
    return judge_with(count, cert, between, root);
}

/* Copy a certificate with another bit at this distance from the end of its DER. */
static X509 *spoil(const X509 *cert, int from_end)
{
    unsigned char *der = NULL;
    const unsigned char *p;
    int len = i2d_X509(cert, &der);
    X509 *spoilt;

    assert_true(len > from_end);
    der[len - from_end] ^= 1;
    p = der;
    spoilt = d2i_X509(NULL, &p, len);
    OPENSSL_free(der);
    return spoilt;
}

static void test_verified_once(void **state)
{
    minted web = mint_leaf(&ca, TD, "web"), other = mint_leaf(&ca, TD, "web");
    X509 *copy = X509_dup(web.cert);
    int i;

    atomic_store(&verified, 0);
    for (i = 0; i < 5; i++) {
        assert_int_equal(judge(web.cert, NULL, ca.cert), X509_V_OK);
        assert_int_equal(judge(copy, NULL, ca.cert), X509_V_OK);
    }
    assert_int_equal(atomic_load(&verified), 1);
    assert_int_equal(judge(other.cert, NULL, ca.cert), X509_V_OK); /* of the same service */
    assert_int_equal(atomic_load(&verified), 2);
    X509_free(copy);
    minted_free(&web);
    minted_free(&other);
}

/* One byte anywhere, and it is another chain. */
static void test_spoilt(void **state)
{
    minted web = mint_leaf(&ca, TD, "web");
    int from_end, checked = 0;

    assert_int_equal(judge(web.cert, NULL, ca.cert), X509_V_OK);
    for (from_end = 1; from_end < 60; from_end++) { /* all of the signature */
        X509 *spoilt = spoil(web.cert, from_end);

        if (spoilt == NULL)
            continue;
        checked++;
        assert_int_not_equal(judge(spoilt, NULL, ca.cert), X509_V_OK);
        assert_int_not_equal(judge(spoilt, NULL, ca.cert), X509_V_OK); /* nor is that remembered */
        X509_free(spoilt);
    }
    assert_true(checked > 40);
    assert_int_equal(judge(web.cert, NULL, ca.cert), X509_V_OK);
    minted_free(&web);
}

/* The key of a service that is allowed, in a certificate that says to be another one. */
static void test_same_key_other_name(void **state)
{
    minted web = mint(&ca, (mint_order){URI("web")});
    minted forged = mint(&twin, (mint_order){URI("db")});

    assert_int_equal(X509_set_pubkey(forged.cert, web.key), 1);
    assert_true(X509_sign(forged.cert, twin.key, EVP_sha256()) > 0);
    assert_int_equal(judge(web.cert, NULL, ca.cert), X509_V_OK);
    assert_int_not_equal(judge(forged.cert, NULL, ca.cert), X509_V_OK);
    minted_free(&web);
    minted_free(&forged);
}

/* The chain is built anew: a root that is gone is gone, and its namesake has signed nothing. */
static void test_roots_of_today(void **state)
{
    minted web = mint_leaf(&ca, TD, "web"), foreign = mint_ca(TD);

    assert_int_equal(judge(web.cert, NULL, ca.cert), X509_V_OK);
    assert_int_not_equal(judge(web.cert, NULL, foreign.cert), X509_V_OK);
    assert_int_equal(judge(web.cert, NULL, twin.cert), X509_V_ERR_CERT_SIGNATURE_FAILURE);
    assert_int_equal(judge(web.cert, NULL, ca.cert), X509_V_OK);
    minted_free(&web);
    minted_free(&foreign);
}

/* Mint a certificate with that name and key identifier but another key, signed by its issuer. */
static minted mint_twin(const minted *of, const minted *issuer)
{
    minted one = mint_ca(TD);

    X509_free(one.cert);
    one.cert = X509_dup(of->cert);
    assert_int_equal(X509_set_pubkey(one.cert, one.key), 1);
    assert_true(X509_sign(one.cert, issuer == NULL ? one.key : issuer->key, EVP_sha256()) > 0);
    return one;
}

/* Intermediates of the same CA count as others, even if only their keys differ. */
static void test_other_intermediates(void **state)
{
    mint_order order = {.subject = "Between", .key_usage = "keyCertSign", .ca = true};
    minted between = mint(&ca, order), namesake = mint(&twin, order);
    minted sibling = mint_twin(&between, &ca), web = mint_leaf(&between, TD, "web");

    assert_int_equal(judge(web.cert, between.cert, ca.cert), X509_V_OK);
    assert_int_not_equal(judge(web.cert, namesake.cert, ca.cert), X509_V_OK);
    assert_int_equal(judge(web.cert, sibling.cert, ca.cert), X509_V_ERR_CERT_SIGNATURE_FAILURE);
    assert_int_not_equal(judge(web.cert, NULL, ca.cert), X509_V_OK);
    assert_int_equal(judge(web.cert, between.cert, ca.cert), X509_V_OK);
    minted_free(&between);
    minted_free(&namesake);
    minted_free(&sibling);
    minted_free(&web);
}

/* Return the number of the place that the last chain has. */
static int place_of_the_last(void)
{
    return (digest[0] << 8 | digest[1]) % 1024;
}

/* A chain's digest is that of each of its certificates, and of these signatures alone. */
static void test_digests(void **state)
{
    mint_order order = {.subject = "Between", .key_usage = "keyCertSign", .ca = true};
    minted between = mint(&ca, order), web = mint_leaf(&between, TD, "web");
    X509 *again = X509_dup(between.cert); /* of the same key, as after a renewal */
    unsigned char first[CONSUL_DIGEST_LEN];
    consul_signatures *others;
    uint64_t serial = 4711;
    int place;

    do { /* a chain of another place, as it would take the first one's */
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(again), serial++);
        assert_true(X509_sign(again, ca.key, EVP_sha256()) > 0);
        assert_int_equal(judge(web.cert, between.cert, ca.cert), X509_V_OK);
        place = place_of_the_last();
        memcpy(first, digest, sizeof(first));
        assert_true(consul_digest_is_set(first));
        assert_int_equal(judge(web.cert, again, ca.cert), X509_V_OK);
    } while (place_of_the_last() == place);
    assert_memory_not_equal(digest, first, sizeof(first));
    assert_int_equal(judge(web.cert, NULL, ca.cert), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    assert_false(consul_digest_is_set(digest));

    atomic_store(&verified, 0);
    assert_int_equal(judge(web.cert, between.cert, ca.cert), X509_V_OK);
    assert_memory_equal(digest, first, sizeof(first));
    assert_int_equal(atomic_load(&verified), 0);
    others = signatures;
    signatures = consul_signatures_new(); /* of other roots */
    assert_int_equal(judge(web.cert, between.cert, ca.cert), X509_V_OK);
    assert_int_equal(atomic_load(&verified), 1);
    consul_signatures_free(signatures);
    signatures = others;
    X509_free(again);
    minted_free(&between);
    minted_free(&web);
}

static bool digests_fail;

int __real_EVP_DigestFinal_ex(EVP_MD_CTX *ctx, unsigned char *md, unsigned int *size);
int __wrap_EVP_DigestFinal_ex(EVP_MD_CTX *ctx, unsigned char *md, unsigned int *size);

int __wrap_EVP_DigestFinal_ex(EVP_MD_CTX *ctx, unsigned char *md, unsigned int *size)
{
    int ok = __real_EVP_DigestFinal_ex(ctx, md, size);

    return digests_fail ? 0 : ok;
}

/* A digest that fails names no chain, whatever it has written. */
static void test_a_digest_that_fails(void **state)
{
    static const unsigned char none[CONSUL_DIGEST_LEN];
    minted leaf = mint(&ca, (mint_order){URI("web")});

    digests_fail = true;
    assert_int_equal(judge(leaf.cert, NULL, ca.cert), X509_V_OK);
    digests_fail = false;
    assert_memory_equal(digest, none, sizeof(none));
    minted_free(&leaf);
}

static void test_expires_while_known(void **state)
{
    minted brief = mint(&ca, (mint_order){URI("web"), .not_before = -60, .not_after = 2});
    time_t end = time(NULL) + 20;
    int error;

    assert_int_equal(judge(brief.cert, NULL, ca.cert), X509_V_OK);
    while ((error = judge(brief.cert, NULL, ca.cert)) == X509_V_OK)
        assert_true(time(NULL) < end);
    assert_int_equal(error, X509_V_ERR_CERT_HAS_EXPIRED);
    minted_free(&brief);
}

/* It was found good by its bytes alone; before its time it is refused all the same. */
static void test_not_yet_valid(void **state)
{
    minted early = mint(&ca, (mint_order){URI("web"), .not_before = 600, .not_after = 6000});

    assert_int_equal(judge(early.cert, NULL, ca.cert), X509_V_ERR_CERT_NOT_YET_VALID);
    assert_int_equal(judge(early.cert, NULL, ca.cert), X509_V_ERR_CERT_NOT_YET_VALID);
    minted_free(&early);
}

/* The wall clock jumps: known signatures do not hide a certificate that is not valid then. */
static void test_clock_steps(void **state)
{
    minted web = mint(&ca, (mint_order){URI("web"), .not_before = -600, .not_after = 600});

    assert_int_equal(judge(web.cert, NULL, ca.cert), X509_V_OK);
    atomic_store(&verified, 0);
    atomic_store(&step, 1200);
    assert_int_equal(judge(web.cert, NULL, ca.cert), X509_V_ERR_CERT_HAS_EXPIRED);
    atomic_store(&step, -1200);
    assert_int_equal(judge(web.cert, NULL, ca.cert), X509_V_ERR_CERT_NOT_YET_VALID);
    atomic_store(&step, 2 * (int)MINT_DAY);
    assert_int_equal(judge(web.cert, NULL, ca.cert), X509_V_ERR_CERT_HAS_EXPIRED);
    atomic_store(&step, 0);
    assert_int_equal(judge(web.cert, NULL, ca.cert), X509_V_OK);
    assert_int_equal(atomic_load(&verified), 0); /* they were known all the time */
    minted_free(&web);
}

/* Each second about the begin and the end: a known chain is valid for as long as OpenSSL says. */
static void test_to_the_second(void **state)
{
    minted brief_ca = mint(&ca, (mint_order){.subject = "Between",
                                             .key_usage = "keyCertSign",
                                             .ca = true,
                                             .not_before = -60,
                                             .not_after = 60});
    minted leaves[] = {
        mint(&ca, (mint_order){URI("web"), .not_before = -60, .not_after = 60}),
        mint(&brief_ca, (mint_order){URI("web"), .not_before = -600, .not_after = 600}),
    };
    time_t now = time(NULL);
    int i, off, valid = 0;

    for (i = 0; i < 2; i++) {
        X509 *between = i == 0 ? NULL : brief_ca.cert, *cert = i == 0 ? leaves[0].cert : between;

        assert_int_equal(judge(leaves[i].cert, between, ca.cert), X509_V_OK);
        atomic_store(&verified, 0);
        for (off = -65; off <= 65; off++) {
            int error;

            stopped_at = now + off;
            error = judge(leaves[i].cert, between, ca.cert);
            switch (X509_cmp_timeframe(NULL, X509_get0_notBefore(cert), X509_get0_notAfter(cert))) {
            case 0:
                valid++;
                assert_int_equal(error, X509_V_OK);
                break;
            case -1:
                assert_int_equal(error, X509_V_ERR_CERT_NOT_YET_VALID);
                break;
            default:
                assert_int_equal(error, X509_V_ERR_CERT_HAS_EXPIRED);
            }
        }
        stopped_at = 0;
        assert_int_equal(atomic_load(&verified), 0);
        minted_free(&leaves[i]);
    }
    assert_int_equal(valid, 2 * 120);
    minted_free(&brief_ca);
}

#define CHAINS 100000 /* a hundred times the kept ones */

/* Return the bytes that the process has allocated, or 0 with a sanitizer, which sees leaks itself. */
static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* A leaf for each of many clients: no memory is taken for that, and none is taken for another. */
static void test_many_chains(void **state)
{
    minted web = mint_leaf(&ca, TD, "web");
    ASN1_INTEGER *serial = X509_get_serialNumber(web.cert);
    size_t before = 0;
    int i;

    atomic_store(&verified, 0);
    for (i = 0; i < CHAINS; i++) {
        ASN1_INTEGER_set_uint64(serial, (uint64_t)1 << 40 | (uint64_t)i); /* no signature */
        assert_int_equal(judge_with(believe, web.cert, NULL, ca.cert), X509_V_OK);
        if (i == 0)
            before = allocated();
    }
    assert_between(allocated(), before - before / 100, before + before / 100);
    assert_int_equal(atomic_load(&verified), CHAINS);
    minted_free(&web);
}

#define THREADS 16
#define ROUNDS 200

static void *verify_in_turn(void *arg)
{
    minted *leaves = arg;
    X509 *spoilt = spoil(leaves[1].cert, 5);
    int i;

    for (i = 0; i < ROUNDS; i++) {
        if (judge(leaves[i % 4].cert, NULL, ca.cert) != X509_V_OK
            || (spoilt != NULL && judge(spoilt, NULL, ca.cert) == X509_V_OK))
            return leaves;
    }
    X509_free(spoilt);
    return NULL;
}

static void test_threads(void **state)
{
    minted leaves[4];
    pthread_t threads[THREADS];
    void *bad;
    int i;

    for (i = 0; i < 4; i++)
        leaves[i] = mint_leaf(&ca, TD, "web");
    for (i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_in_turn, leaves), 0);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
    for (i = 0; i < 4; i++)
        minted_free(&leaves[i]);
}

#define MEETERS 4
#define MEETINGS 1000

static minted meeting[2]; /* of one place: a valid leaf, and an expired one */
static _Thread_local int believed;

static int believe_here(X509_STORE_CTX *ctx)
{
    believed++;
    return 1;
}

/* Return the number of times at which the expired leaf was known with the validity of the other. */
static void *meet(void *arg)
{
    uintptr_t wrong = 0;
    int i;

    for (i = 0; i < MEETINGS; i++) {
        believed = 0;
        if (judge_with(believe_here, meeting[i % 2].cert, NULL, ca.cert) == X509_V_OK
            && believed == 0 && i % 2 == 1)
            wrong++;
    }
    return (void *)wrong;
}

static void test_threads_at_one_place(void **state)
{
    pthread_t threads[MEETERS];
    int place, i;
    void *wrong;

    meeting[0] = mint_leaf(&ca, TD, "web");
    meeting[1] = mint(&ca, (mint_order){URI("web"), .not_before = -2 * MINT_DAY, .not_after = -10});
    judge_with(believe, meeting[0].cert, NULL, ca.cert);
    place = place_of_the_last();
    for (i = 1; judge_with(believe, meeting[1].cert, NULL, ca.cert), place_of_the_last() != place;
         i++)
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(meeting[1].cert),
                                (uint64_t)1 << 40 | (uint64_t)i); /* no signature */
    for (i = 0; i < MEETERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, meet, NULL), 0);
    for (i = 0; i < MEETERS; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    minted_free(&meeting[0]);
    minted_free(&meeting[1]);
}

static int make_world(void **state)
{
    ca = mint_ca(TD);
    twin = mint_twin(&ca, NULL);
    signatures = consul_signatures_new();
    assert_non_null(signatures);
    return 0;
}

static int end_world(void **state)
{
    minted_free(&ca);
    minted_free(&twin);
    consul_signatures_free(signatures);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verified_once),
        cmocka_unit_test(test_spoilt),
        cmocka_unit_test(test_same_key_other_name),
        cmocka_unit_test(test_roots_of_today),
        cmocka_unit_test(test_other_intermediates),
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_a_digest_that_fails),
        cmocka_unit_test(test_expires_while_known),
        cmocka_unit_test(test_not_yet_valid),
        cmocka_unit_test(test_clock_steps),
        cmocka_unit_test(test_to_the_second),
        cmocka_unit_test(test_many_chains),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_threads_at_one_place),
    };

    return cmocka_run_group_tests(tests, make_world, end_world);
}
