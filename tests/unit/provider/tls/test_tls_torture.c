/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that runs out of memory. Any allocation may fail: a denied peer is never let in, and
 * nothing crashes.
 *
 * The test refuses libcrypto's allocations, and with them those of libssl and of the module. The
 * module's allocations fail one after another, and some of OpenSSL's thousands do.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/store.h>
#include <openssl/x509v3.h>

#include "hostile.h"
#include "tls.h"

#include "agent/decode.h"
#include "cache/verdicts.h"
#include "identity/cert.h"
#include "store.h"

#define ROUNDS 8      /* turns of each side */
#define OF_OPENSSL 80 /* the number of its allocations that fail one by one in each case */
#define FROM_THERE 30 /* and how often everything fails from one on */
#define FAR_AWAY 1000000

/* The failures of this thread. The allocations are counted while it is armed. */
static _Thread_local struct {
    bool armed, of_module; /* only the module's own */
    long count, first, last;
} plan;

/* Return true for the module: libcrypto and libssl name "../crypto/…", "../ssl/…" or no file. */
static bool is_of_module(const char *file)
{
    return file != NULL
           && (strstr(file, "../store/") != NULL || strstr(file, "../provider/") != NULL);
}

static bool fails(const char *file)
{
    if (!plan.armed || (plan.of_module && !is_of_module(file)))
        return false;
    plan.count++;
    return plan.count >= plan.first && plan.count <= plan.last;
}

static void *failing_malloc(size_t size, const char *file, int line)
{
    return fails(file) ? NULL : malloc(size);
}

static void *failing_realloc(void *old, size_t size, const char *file, int line)
{
    if (size == 0) {
        free(old);
        return NULL;
    }
    return fails(file) ? NULL : realloc(old, size);
}

static void plain_free(void *ptr, const char *file, int line)
{
    free(ptr);
}

/* ---- one handshake ---- */

/* The other server has callbacks of its own in the place of ours, for security and info. */
enum arm { ARM_SERVER, ARM_OTHER_SERVER, ARM_CLIENT };

typedef struct torture_case {
    const char *name;
    const minted *server, *client;
    enum arm arm; /* the side with the trouble, which has to refuse */
    bool allow;
} torture_case;

static minted stand_in, impostor;

static const torture_case cases[] = {
    {"denied", &world.web, &world.friend, ARM_SERVER, false},
    {"foreign", &world.web, &world.stranger, ARM_SERVER, true},
    {"nobody", &world.web, NULL, ARM_SERVER, true},
    {"nobody, and other callbacks", &world.web, NULL, ARM_OTHER_SERVER, true},
    {"denied by a stand-in", &stand_in, &world.friend, ARM_SERVER, false},
    {"foreign to a stand-in", &stand_in, &world.stranger, ARM_SERVER, true},
    {"nobody to a stand-in", &stand_in, NULL, ARM_SERVER, true},
    {"an impostor", &impostor, &world.friend, ARM_CLIENT, true},
    {"an impostor, by a stand-in", &impostor, &stand_in, ARM_CLIENT, true},
    {"an ordinary server", &world.site, &world.friend, ARM_CLIENT, true},
    {"an unknown server of an ordinary client", &world.site, NULL, ARM_CLIENT, true},
};

/* Go on as long as it is let, as tls_talk does. */
static void take_turn(SSL *ssl, const char *line, bool armed, bool *got)
{
    char buffer[64];

    plan.armed = armed;
    if (SSL_do_handshake(ssl) == 1) {
        SSL_write(ssl, line, (int)strlen(line));
        if (SSL_read(ssl, buffer, sizeof(buffer)) > 0)
            *got = true;
    }
    plan.armed = false;
    ERR_clear_error();
}

static void look_on(const SSL *ssl, int where, int value)
{
}

/* Make a context like tls_ctx, without a failed test where it fails. */
static SSL_CTX *make_ctx(int version, const minted *own, bool armed)
{
    SSL_CTX *ctx;

    plan.armed = armed;
    ctx = SSL_CTX_new(TLS_method());
    if (ctx != NULL && own == NULL && armed) /* an ordinary client demands what it knows */
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (ctx != NULL
        && (!SSL_CTX_set_min_proto_version(ctx, version)
            || !SSL_CTX_set_max_proto_version(ctx, version)
            || (own != NULL
                && (SSL_CTX_use_certificate(ctx, own->cert) != 1
                    || SSL_CTX_use_PrivateKey(ctx, own->key) != 1)))) {
        SSL_CTX_free(ctx);
        ctx = NULL;
    }
    plan.armed = false;
    ERR_clear_error();
    return ctx;
}

/* Return true where data comes through in this case, with the failures of the plan. */
static bool comes_through(const torture_case *one, int version)
{
    SSL_CTX *server_ctx = make_ctx(version, one->server, one->arm != ARM_CLIENT);
    SSL_CTX *client_ctx = make_ctx(version, one->client, one->arm == ARM_CLIENT);
    bool server_got = false, client_got = false;
    SSL *server, *client;
    int round;

    if (one->arm == ARM_OTHER_SERVER && server_ctx != NULL) {
        hostile_displace(server_ctx, HOSTILE_SECURITY);
        SSL_CTX_set_info_callback(server_ctx, look_on);
    }
    if (server_ctx != NULL && client_ctx != NULL) {
        tls_pair(client_ctx, server_ctx, &client, &server);
        for (round = 0; round < ROUNDS; round++) {
            take_turn(client, "ping", one->arm == ARM_CLIENT, &client_got);
            take_turn(server, "pong", one->arm != ARM_CLIENT, &server_got);
        }
        SSL_free(client);
        SSL_free(server);
    }
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return server_got || client_got;
}

static bool try(const torture_case *one, int version, bool of_module, long first, long last)
{
    plan.of_module = of_module;
    plan.count = 0;
    plan.first = first;
    plan.last = last;
    return comes_through(one, version);
}

static void assert_nothing(const torture_case *one, int version, bool of_module, long first,
                           long last)
{
    if (try(one, version, of_module, first, last))
        fail_msg("%s, TLS 1.%d: data came through with allocations %ld to %ld of %s failing",
                 one->name, version - TLS1_VERSION, first, last,
                 of_module ? "the module" : "everything");
}

static void torture(const torture_case *one, int version)
{
    long count, k;

    world.agent.allow = one->allow;
    assert_nothing(one, version, true, FAR_AWAY, FAR_AWAY);
    count = plan.count;
    assert_true(count > 0);
    /* Some allocations come only after another one has failed: four more. */
    for (k = 1; k <= count + 4; k++)
        assert_nothing(one, version, true, k, k);
    for (k = 1; k <= count; k++)
        assert_nothing(one, version, true, k, FAR_AWAY);

    assert_nothing(one, version, false, FAR_AWAY, FAR_AWAY);
    count = plan.count;
    assert_true(count > OF_OPENSSL);
    for (k = 1; k <= count; k += count / OF_OPENSSL)
        assert_nothing(one, version, false, k, k);
    for (k = 1; k <= count; k += count / FROM_THERE)
        assert_nothing(one, version, false, k, FAR_AWAY);
}

static void test_nobody_comes_in(void **state)
{
    size_t i, v;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (v = 0; v < 2; v++)
            torture(&cases[i], tls_versions[v]);
    }
}

/* The control: where nothing fails, an allowed peer connects, by the same steps. */
static void test_friends_come_in(void **state)
{
    static const torture_case friends[] = {
        {"friend", &world.web, &world.friend, ARM_SERVER, true},
        {"friend of a stand-in", &stand_in, &world.friend, ARM_SERVER, true},
        {"by a stand-in", &world.web, &stand_in, ARM_CLIENT, true},
    };
    size_t i, v;

    for (i = 0; i < sizeof(friends) / sizeof(friends[0]); i++) {
        for (v = 0; v < 2; v++)
            assert_true(try(&friends[i], tls_versions[v], false, FAR_AWAY, FAR_AWAY));
    }
}

/* ---- reading and loading ---- */

/* Roots that were read while there was no memory would be kept: they are whole, or refused. */
static void test_reading(void **state)
{
    const char *body = world.agent.roots;
    consul_roots *roots;
    const X509 *root;
    long k, last = FAR_AWAY;

    plan.of_module = false;
    for (k = 0; k <= last; k++) {
        plan.count = 0;
        plan.first = plan.last = k;
        plan.armed = true;
        roots = consul_roots_decode(body, strlen(body), NULL, NULL);
        plan.armed = false;
        last = k == 0 ? plan.count : last;
        ERR_clear_error();
        if (roots != NULL && consul_certs_are_usable(consul_roots_certs(roots))) {
            /* OpenSSL keeps a key's sizes. Without memory for them it takes them for 0, and no peer's key is enough. */
            root = sk_X509_value(consul_roots_certs(roots), 0);
            assert_true(EVP_PKEY_get_security_bits(X509_get0_pubkey(root)) > 0);
            assert_int_equal(consul_roots_verify(roots, world.friend.cert, NULL, X509_PURPOSE_ANY,
                                                 -1, NULL, NULL, NULL, NULL),
                             1);
        } else {
            assert_int_not_equal(k, 0);
        }
        consul_roots_unref(roots);
    }
}

/* Load by URI, and return how many of key and leaf came. They go together. */
static int load(long first, long last)
{
    OSSL_STORE_INFO *info[8];
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    OSSL_STORE_CTX *store;
    int count = 0, i;

    plan.of_module = true;
    plan.count = 0;
    plan.first = first;
    plan.last = last;
    plan.armed = true;
    store = OSSL_STORE_open("consul://leaf/web", NULL, NULL, NULL, NULL);
    while (store != NULL && count < 8 && !OSSL_STORE_eof(store) && !OSSL_STORE_error(store)
           && (info[count] = OSSL_STORE_load(store)) != NULL)
        count++;
    OSSL_STORE_close(store);
    plan.armed = false;
    ERR_clear_error();
    for (i = 0; i < count; i++) {
        if (OSSL_STORE_INFO_get_type(info[i]) == OSSL_STORE_INFO_PKEY)
            key = OSSL_STORE_INFO_get0_PKEY(info[i]);
        else if (cert == NULL)
            cert = OSSL_STORE_INFO_get0_CERT(info[i]);
    }
    if (key != NULL && cert != NULL)
        assert_int_equal(X509_check_private_key(cert, key), 1);
    for (i = 0; i < count; i++)
        OSSL_STORE_INFO_free(info[i]);
    return count;
}

/* Where OpenSSL's own allocations fail, it crashes while it decodes the loader's objects. */
static void test_loading(void **state)
{
    long count, k;

    assert_int_equal(load(FAR_AWAY, FAR_AWAY), 2);
    count = plan.count;
    assert_true(count > 0);
    for (k = 1; k <= count; k++) {
        load(k, k);
        load(k, FAR_AWAY);
    }
    assert_int_equal(load(FAR_AWAY, FAR_AWAY), 2);
}

/* Verdicts for the agent's absence: a no that cannot be kept does not leave an earlier yes. */
static void test_a_no_is_kept(void **state)
{
    consul_verdicts *known = consul_verdicts_new(NULL, NULL);
    consul_kept_verdict yes = {.verdict = CONSUL_VERDICT_YES}, no = {.verdict = CONSUL_VERDICT_NO};
    unsigned char cert[CONSUL_DIGEST_LEN] = "of the friend's certificate";
    consul_spiffe_id web, friend;
    long k;

    assert_true(consul_spiffe_id_of_cert(world.web.cert, &web, NULL));
    assert_true(consul_spiffe_id_of_cert(world.friend.cert, &friend, NULL));
    for (k = 1; k < 20; k++) {
        yes.asked = no.asked = k;
        consul_verdicts_note(known, &web, &friend, cert, &yes);
        assert_int_equal(consul_verdicts_find(known, &web, &friend, cert).verdict,
                         CONSUL_VERDICT_YES);
        assert_int_equal(consul_verdicts_last(known, &web, &friend).verdict, CONSUL_VERDICT_YES);
        plan.count = 0;
        plan.of_module = false;
        plan.first = k;
        plan.last = FAR_AWAY;
        plan.armed = true;
        consul_verdicts_note(known, &web, &friend, cert, &no);
        plan.armed = false;
        assert_int_not_equal(consul_verdicts_find(known, &web, &friend, cert).verdict,
                             CONSUL_VERDICT_YES);
        assert_int_not_equal(consul_verdicts_last(known, &web, &friend).verdict,
                             CONSUL_VERDICT_YES);
    }
    consul_verdicts_free(known);
}

/* A no is thrown away with all others. An earlier yes that comes after that does not count. */
static void test_a_no_that_went(void **state)
{
    consul_verdicts *known = consul_verdicts_new(NULL, NULL);
    consul_kept_verdict yes = {.verdict = CONSUL_VERDICT_YES, .asked = 60},
                        other = {.verdict = CONSUL_VERDICT_YES, .asked = 50},
                        no = {.verdict = CONSUL_VERDICT_NO, .asked = 100};
    unsigned char cert[CONSUL_DIGEST_LEN] = "of the friend's certificate";
    consul_spiffe_id web, friend;

    assert_true(consul_spiffe_id_of_cert(world.web.cert, &web, NULL));
    assert_true(consul_spiffe_id_of_cert(world.friend.cert, &friend, NULL));
    consul_verdicts_note(known, &web, &friend, cert, &no);
    plan.count = 0;
    plan.of_module = false;
    plan.first = 1;
    plan.last = FAR_AWAY;
    plan.armed = true;
    consul_verdicts_note(known, &web, &web, cert, &other);
    plan.armed = false;
    consul_verdicts_note(known, &web, &friend, cert, &yes);
    assert_int_equal(consul_verdicts_last(known, &web, &friend).verdict, CONSUL_VERDICT_NONE);
    yes.asked = 101;
    consul_verdicts_note(known, &web, &friend, cert, &yes);
    assert_int_equal(consul_verdicts_last(known, &web, &friend).verdict, CONSUL_VERDICT_YES);
    consul_verdicts_free(known);
}

static int set_up(void **state)
{
    if (tls_set_up(state) != 0)
        return 1;
    stand_in = mint_stand_in("consul:leaf/web");
    impostor = mint_leaf(&world.foreign_ca, TD, "web");
    return 0;
}

static int tear_down(void **state)
{
    minted_free(&stand_in);
    minted_free(&impostor);
    return tls_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_friends_come_in, tls_reset),
        cmocka_unit_test_setup(test_nobody_comes_in, tls_reset),
        cmocka_unit_test_setup(test_reading, tls_reset),
        cmocka_unit_test_setup(test_loading, tls_reset),
        cmocka_unit_test_setup(test_a_no_is_kept, tls_reset),
        cmocka_unit_test_setup(test_a_no_that_went, tls_reset),
    };

    /* Before anything else is allocated. */
    if (CRYPTO_set_mem_functions(failing_malloc, failing_realloc, plain_free) != 1) {
        fprintf(stderr, "libcrypto does not take our memory functions\n");
        return 1;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
