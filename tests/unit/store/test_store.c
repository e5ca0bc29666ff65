/* SPDX-License-Identifier: Apache-2.0 */
/* The store: roots and leaves as they are asked for, and a rotation between two answers. */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/x509v3.h>

#include "agent/authorize.h"
#include "agent/decode.h"
#include "base/lock.h"
#include "cache/epoch.h"
#include "http_server.h"
#include "mint.h"
#include "store_fields.h"
#include "watch/ask_ahead.h"

#define TD "td.consul"

static minted old_ca, new_ca, old_web, new_web, expired_web, alice, bob;
static minted odd; /* a CA that Go, the language of Consul, reads, and OpenSSL cannot use */

/* An agent whose roots and leaf are those of a CA, which may change after some answers. */
enum says { SAYS_YES, SAYS_NO, SAYS_NOTHING, LIMITS };

typedef struct fixture {
    http_server *server;
    consul_store *store;
    const minted *leaf, *root;
    const minted *plain_leaf; /* for a request without an index, unless NULL */
    const minted *next_root;  /* from the second question for roots on, unless NULL */
    bool lists_odd;           /* beside that */
    bool leaf_with_odd;       /* as an intermediate */
    int status;
    _Atomic(enum says) of_alice; /* of others it says yes */
    atomic_int questions;        /* about peers */
    int leaves, roots;           /* how often each was asked for */
    int index;                   /* of its answers about leaves; 0 for none */
    const char *none; /* the answer to a request for a newer leaf, or NULL for the usual one */
    char headers[64];
    char last_leaf[256], last_waiting[256], last_roots[256];
    char *body;
} fixture;

static char *roots_body(const minted *root, bool with_odd)
{
    char *pem = mint_cert_pem(root->cert), *body;
    json_t *json = json_pack("{s:s, s:[{s:s}]}", "TrustDomain", TD, "Roots", "RootCert", pem);

    if (with_odd) {
        free(pem);
        pem = mint_cert_pem(odd.cert);
        json_array_append_new(json_object_get(json, "Roots"), json_pack("{s:s}", "RootCert", pem));
    }
    body = json_dumps(json, 0);
    json_decref(json);
    free(pem);
    return body;
}

static char *leaf_body(const minted *leaf, bool with_odd)
{
    char *cert = mint_cert_pem(leaf->cert), *key = mint_key_pem(leaf->key), *body;
    char *more = with_odd ? mint_cert_pem(odd.cert) : strdup("");
    json_t *json = json_pack("{s:s+, s:s}", "CertPEM", cert, more, "PrivateKeyPEM", key);

    body = json_dumps(json, 0);
    json_decref(json);
    free(cert);
    free(more);
    free(key);
    return body;
}

/* The answer of a Go program whose handler panics. */
static const char nothing[] = "nothing, not even a status";

static void handle(const http_request *request, http_reply *reply, void *arg)
{
    fixture *f = arg;

    free(f->body);
    f->body = NULL;
    if (f->status != 200) {
        reply->status = f->status;
        reply->body = "Permission denied";
        return;
    }
    if (strcmp(request->target, CONSUL_AUTHORIZE_PATH) == 0) {
        bool is_alice = strstr(request->body, "/svc/alice\"") != NULL;

        atomic_fetch_add(&f->questions, 1);
        reply->body = "{\"Authorized\":true,\"Reason\":\"ok\"}";
        if (is_alice && f->of_alice == SAYS_NO)
            reply->body = "{\"Authorized\":false,\"Reason\":\"no\"}";
        if (is_alice && f->of_alice == SAYS_NOTHING)
            reply->manner = HTTP_HANG;
        if (is_alice && f->of_alice == LIMITS)
            reply->status = 429;
        return;
    }
    if (strncmp(request->target, "/v1/agent/connect/ca/leaf/", 26) == 0) {
        f->leaves++;
        snprintf(f->last_leaf, sizeof(f->last_leaf), "%.255s", request->target + 26);
        if (strstr(request->target, "ms") != NULL)
            strcpy(f->last_waiting, f->last_leaf);
        if (f->none != NULL && strstr(request->target, "index=") != NULL) {
            reply->manner = f->none == nothing ? HTTP_CLOSE : HTTP_ANSWER;
            reply->status = strlen(f->none) < 5 ? 200 : 500;
            reply->body = f->none;
            return;
        }
        if (f->index != 0) {
            snprintf(f->headers, sizeof(f->headers), "X-Consul-Index: %d\r\n", f->index);
            reply->headers = f->headers;
        }
        if (strstr(request->target, "index=") == NULL && f->plain_leaf != NULL)
            f->leaf = f->plain_leaf;
        f->body = leaf_body(f->leaf, f->leaf_with_odd);
    } else if (strncmp(request->target, "/v1/agent/connect/ca/roots", 26) == 0) {
        bool changed = f->roots++ > 0 && f->next_root != NULL;

        snprintf(f->last_roots, sizeof(f->last_roots), "%.255s", request->target + 26);
        f->body = roots_body(changed ? f->next_root : f->root, f->lists_odd);
    }
    reply->body = f->body;
}

static const char *lookup(const char *name, void *arg)
{
    const fixture *f = arg;
    static char address[64];

    snprintf(address, sizeof(address), "127.0.0.1:%d", http_server_port(f->server));
    return strcmp(name, "address") == 0             ? address
           : strcmp(name, "service") == 0           ? "web"
           : strcmp(name, "namespace") == 0         ? "default"
           : strcmp(name, "authorize_timeout") == 0 ? "300ms"
                                                    : NULL;
}

static bool hurries; /* the request for a leaf */

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    consul_settings *settings;

    assert_non_null(f);
    hurries = false;
    f->status = 200;
    f->leaf = &old_web;
    f->root = &old_ca;
    f->server = http_server_start(NULL, handle, f);
    settings = consul_settings_new(lookup, f, NULL);
    assert_non_null(settings);
    f->store = consul_store_new(settings, NULL, NULL);
    assert_non_null(f->store);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    consul_store_unref(f->store);
    http_server_stop(f->server);
    free(f->body);
    free(f);
    return 0;
}

static int make_world(void **state)
{
    unsetenv("CONSUL_HTTP_TOKEN");
    unsetenv("CONSUL_HTTP_TOKEN_FILE");
    unsetenv("CONSUL_HTTP_SSL");
    unsetenv("CONSUL_PARTITION");
    old_ca = mint_ca(TD);
    new_ca = mint_ca(TD);
    old_web = mint_leaf(&old_ca, TD, "web");
    new_web = mint_leaf(&new_ca, TD, "web");
    expired_web = mint(
        &old_ca, (mint_order){.names = {{GEN_URI, "spiffe://" TD "/ns/default/dc/dc1/svc/web", 0}},
                              .not_before = -2 * MINT_DAY,
                              .not_after = -MINT_DAY});
    alice = mint_leaf(&old_ca, TD, "alice");
    bob = mint_leaf(&old_ca, TD, "bob");
    odd = mint_unusable_ca(TD);
    return 0;
}

static int free_world(void **state)
{
    minted_free(&old_ca);
    minted_free(&new_ca);
    minted_free(&old_web);
    minted_free(&new_web);
    minted_free(&expired_web);
    minted_free(&alice);
    minted_free(&bob);
    minted_free(&odd);
    return 0;
}

static int get_leaf(fixture *f, const char *service, const consul_scope *scope, consul_error *err)
{
    consul_asking asking = consul_asking_now();
    consul_leaf *leaf;
    int ok;

    asking.hurries = hurries;
    ok = consul_store_leaf(f->store, service, scope, asking, &leaf, err);

    assert_int_equal(leaf != NULL, ok);
    if (ok)
        assert_string_equal(consul_leaf_id(leaf)->service, "web");
    consul_leaf_unref(leaf);
    return ok;
}

#define LATEST "&index=4611686018427387904&wait=1us" /* there is no newer index */

/* The scope of the request goes before the configured one, field by field. */
static void test_scopes(void **state)
{
    static const struct {
        const char *service;
        consul_scope scope;
        bool no_scope;
        const char *leaf, *roots;
    } rows[] = {
        {"web", {"", "", ""}, true, "web?ns=default" LATEST, "?ns=default"},
        {NULL, {"", "", ""}, true, "web?ns=default" LATEST, "?ns=default"},
        {"", {"", "", ""}, false, "web?ns=default" LATEST, "?ns=default"},
        {"web", {"", "", "dc1"}, false, "web?dc=dc1&ns=default" LATEST, "?dc=dc1&ns=default"},
        {"web",
         {"default", "default", ""},
         false,
         "web?ns=default&partition=default" LATEST,
         "?ns=default&partition=default"},
    };
    fixture *f = *state;
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        consul_error err = {0};

        if (!get_leaf(f, rows[i].service, rows[i].no_scope ? NULL : &rows[i].scope, &err))
            fail_msg("row %zu: %s", i, err.text);
        assert_string_equal(f->last_leaf, rows[i].leaf);
        assert_string_equal(f->last_roots, rows[i].roots);
    }
}

/* The agent is asked for that namespace. Its leaf is of another one, and is refused. */
static void test_a_namespace(void **state)
{
    static const consul_scope other = {.ns = "other"};
    fixture *f = *state;
    consul_error err = {0};

    assert_false(get_leaf(f, "web", &other, &err));
    assert_string_equal(f->last_leaf, "web?ns=other" LATEST);
}

static void test_roots(void **state)
{
    fixture *f = *state;
    consul_roots *roots;
    consul_error err = {0};

    assert_int_equal(consul_store_roots(f->store, NULL, consul_asking_now(), &roots, &err), 1);
    assert_string_equal(consul_roots_trust_domain(roots), TD);
    assert_int_equal(X509_cmp(sk_X509_value(consul_roots_certs(roots), 0), old_ca.cert), 0);
    consul_roots_unref(roots);
    assert_int_equal(f->leaves, 0);
}

/* A root of no use does not keep another root out. It does not keep a withdrawn root in, either. */
static void test_a_root_of_no_use(void **state)
{
    fixture *f = *state;
    consul_roots *roots, *before;
    consul_error err = {0};
    int i;

    assert_int_equal(consul_store_roots(f->store, NULL, consul_asking_now(), &before, &err), 1);
    f->root = &new_ca;
    f->lists_odd = true;
    for (i = 0; i < 3; i++) {
        assert_int_equal(consul_store_roots(f->store, NULL, consul_asking_now(), &roots, &err), 1);
        assert_int_equal(consul_roots_verify(roots, new_web.cert, NULL, X509_PURPOSE_ANY, -1, NULL,
                                             NULL, NULL, NULL),
                         1);
        assert_int_equal(consul_roots_verify(roots, old_web.cert, NULL, X509_PURPOSE_ANY, -1, NULL,
                                             NULL, NULL, NULL),
                         0);
        assert_ptr_not_equal(roots, before); /* read anew, as memory may have been short */
        consul_roots_unref(before);
        before = roots;
    }
    consul_roots_unref(before);
    f->leaf = &new_web;
    assert_int_equal(get_leaf(f, NULL, NULL, &err), 1);
}

static void test_an_intermediate_of_no_use(void **state)
{
    fixture *f = *state;
    consul_error err = {0};

    f->leaf_with_odd = true;
    assert_int_equal(get_leaf(f, NULL, NULL, &err), 0);
    assert_error(&err, CONSUL_R_AGENT_ANSWER_INVALID, "cannot use the leaf or an intermediate");
}

/* Doubt the roots for a handshake that began then. Return true where they turn out to be others. */
static bool doubt(const fixture *f, consul_roots **roots, consul_asking asking)
{
    asking.deadline = consul_deadline_after(10000);
    return consul_store_doubt_roots(f->store, NULL, asking, roots);
}

/* The agent is asked where it was not asked since; a few times, and then no more for a while. */
static void test_doubts(void **state)
{
    fixture *f = *state;
    consul_asking asking = consul_asking_now();
    consul_roots *roots, *old;
    int i;

    assert_int_equal(consul_store_roots(f->store, NULL, asking, &roots, NULL), 1);
    old = consul_roots_ref(roots);
    f->root = &new_ca;
    assert_false(doubt(f, &roots, asking));
    assert_int_equal(f->roots, 1);
    assert_true(doubt(f, &roots, consul_asking_now()));
    assert_ptr_not_equal(roots, old);
    assert_int_equal(f->roots, 2);
    assert_true(doubt(f, &old, consul_asking_now())); /* by another's question */
    assert_ptr_equal(roots, old);
    assert_int_equal(f->roots, 2);
    for (i = 0; i < 20; i++)
        assert_false(doubt(f, &roots, consul_asking_now()));
    assert_between(f->roots, 4, 5);
    consul_roots_unref(roots);
    consul_roots_unref(old);
}

static int ask_about_since(const fixture *f, const minted *peer, consul_asking asking)
{
    unsigned char chain[CONSUL_DIGEST_LEN];
    enum consul_basis basis;
    consul_spiffe_id target, id;

    assert_int_equal(X509_digest(peer->cert, EVP_sha256(), chain, NULL), 1);
    asking.deadline = consul_deadline_after(300);
    assert_int_equal(consul_spiffe_id_of_cert(old_web.cert, &target, NULL), 1);
    assert_int_equal(consul_spiffe_id_of_cert(peer->cert, &id, NULL), 1);
    return consul_store_authorize(f->store, &target, peer->cert, chain, &id, asking, &basis, NULL);
}

static int ask_about(const fixture *f, const minted *peer)
{
    consul_store_note_handshake(f->store);
    return ask_about_since(f, peer, consul_asking_now());
}

/* Have alice known by two visits, and the agent asked ahead about her. Return the needs of the third visit. */
static consul_asking ask_ahead_about_alice(fixture *f)
{
    consul_deadline end;
    consul_asking asking;
    int before;

    assert_int_equal(ask_about(f, &alice), 1);
    assert_int_equal(ask_about(f, &alice), 1);
    before = atomic_load(&f->questions);
    asking = consul_asking_now();
    consul_store_ask_ahead(f->store, asking, true);
    end = consul_deadline_after(60000);
    while (atomic_load(&f->questions) == before && consul_now_ms() < end)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(atomic_load(&f->questions), before + 1);
    return asking;
}

static void test_asked_ahead(void **state)
{
    fixture *f = *state;
    consul_deadline end = consul_deadline_after(60000);
    consul_asking asking;
    int before;

    do { /* in time */
        asking = ask_ahead_about_alice(f);
        before = atomic_load(&f->questions);
        assert_int_equal(ask_about_since(f, &alice, asking), 1);
    } while (consul_now_us() - asking.since >= CONSUL_AHEAD_AGE_US && consul_now_ms() < end);
    assert_int_equal(atomic_load(&f->questions), before);
    assert_int_equal(ask_about_since(f, &bob, asking), 1);
    assert_int_equal(atomic_load(&f->questions), before + 1);
}

/* A certificate of the same service was denied after the answer ahead. */
static void test_a_no_after_a_yes_ahead(void **state)
{
    fixture *f = *state;
    consul_asking asking = ask_ahead_about_alice(f);
    minted other = mint_leaf(&old_ca, TD, "alice");

    f->of_alice = SAYS_NO;
    assert_int_equal(ask_about(f, &other), 0);
    assert_int_equal(ask_about_since(f, &alice, asking), 0);
    assert_int_equal(atomic_load(&f->questions), 5);
    minted_free(&other);
}

/* A watch has seen a change of intentions after the question. */
static void test_a_change_after_a_yes_ahead(void **state)
{
    fixture *f = *state;
    consul_asking asking = ask_ahead_about_alice(f);
    consul_scope scope = consul_store_scope(f->store, NULL);
    consul_entry *intentions =
        consul_table_entry(f->store->table, CONSUL_KIND_INTENTIONS, "web", &scope, NULL);

    assert_non_null(intentions);
    consul_entry_keep_epoch(intentions, true, 1, 0);
    consul_entry_keep_epoch(intentions, true, 2, 0);
    f->of_alice = SAYS_NO;
    assert_int_equal(ask_about_since(f, &alice, asking), 0);
    assert_int_equal(atomic_load(&f->questions), 4);
}

/* One client's question without an answer speaks for all, until there is any answer to it. */
static void test_one_that_is_limited(void **state)
{
    fixture *f = *state;
    consul_deadline end;

    f->of_alice = SAYS_NOTHING;
    assert_int_equal(ask_about(f, &alice), 0);
    assert_int_equal(ask_about(f, &bob), 0);
    f->of_alice = LIMITS;
    end = consul_deadline_after(10000);
    while (!ask_about(f, &bob) && consul_now_ms() < end)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_int_equal(ask_about(f, &bob), 1);
    assert_int_equal(ask_about(f, &alice), 0);
    assert_int_equal(ask_about(f, &bob), 1);
}

/* A leaf in a hurry needs no newer roots: without any roots, or if it chains to the kept ones. */
static void test_in_a_hurry(void **state)
{
    fixture *f = *state;
    consul_roots *roots;
    consul_error err = {0};

    hurries = true;
    assert_int_equal(get_leaf(f, "web", NULL, NULL), 1);
    assert_int_equal(f->roots, 0);
    assert_int_equal(consul_store_roots(f->store, NULL, consul_asking_now(), &roots, NULL), 1);
    consul_roots_unref(roots);
    assert_int_equal(get_leaf(f, "web", NULL, NULL), 1);
    assert_int_equal(f->roots, 1);
    f->leaf = &new_web;
    f->root = &new_ca;
    assert_int_equal(get_leaf(f, "web", NULL, NULL), 1);
    assert_int_equal(f->roots, 2);
    assert_int_equal(f->leaves, 3);
    f->root = &old_ca;
    assert_int_equal(get_leaf(f, "web", NULL, NULL), 1);
    assert_int_equal(f->roots, 2);
    hurries = false;
    assert_int_equal(get_leaf(f, "web", NULL, &err), 0);
    assert_error(&err, CONSUL_R_AGENT_ANSWER_INVALID, "does not chain to the roots");
}

/* A leaf that was checked without roots does not count as one that chains to them. */
static void test_a_hurry_before(void **state)
{
    fixture *f = *state;

    hurries = true;
    f->leaf = &new_web;
    assert_int_equal(get_leaf(f, "web", NULL, NULL), 1);
    hurries = false;
    assert_int_equal(get_leaf(f, "web", NULL, NULL), 0);
    f->leaf = &old_web;
    assert_int_equal(get_leaf(f, "web", NULL, NULL), 1);
}

static void test_wrong_leaf(void **state)
{
    fixture *f = *state;
    consul_error err = {0};

    assert_int_equal(get_leaf(f, "db", NULL, &err), 0);
    assert_error(&err, CONSUL_R_AGENT_ANSWER_INVALID, "and not for the service of the request");
    assert_contains(err.text, "/v1/agent/connect/ca/leaf/db");
    assert_int_equal(f->leaves, 1); /* asking again does not mend that */
}

/* The leaf came before the rotation, and the roots after it, or the other way round. */
static void test_rotation(void **state)
{
    fixture *f = *state;
    consul_error err = {0};

    f->leaf = &new_web;
    f->next_root = &new_ca;
    if (!get_leaf(f, "web", NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(f->leaves, 2);
    assert_int_equal(f->roots, 2);
    assert_int_equal(err.reason, 0); /* the first attempt left no trace */
}

static void test_no_end_of_rotation(void **state)
{
    fixture *f = *state;
    consul_error err = {0};

    f->leaf = &new_web;
    assert_int_equal(get_leaf(f, "web", NULL, &err), 0);
    assert_error(&err, CONSUL_R_AGENT_ANSWER_INVALID, "does not chain to the roots");
    assert_int_equal(f->leaves, 3);
}

/* Each question has the agent look for a newer leaf, and the first one, too. */
static void test_renewal(void **state)
{
    fixture *f = *state;
    consul_error err = {0};

    f->index = 7;
    assert_int_equal(get_leaf(f, "web", NULL, &err), 1);
    assert_int_equal(f->leaves, 1);
    assert_string_equal(f->last_leaf, "web?ns=default" LATEST);
    assert_int_equal(get_leaf(f, "web", NULL, &err), 1);
    assert_int_equal(f->leaves, 2);
    assert_string_equal(f->last_leaf, "web?ns=default&index=7&wait=1us");
    f->index = 5; /* restarted */
    assert_int_equal(get_leaf(f, "web", NULL, &err), 1);
    assert_int_equal(get_leaf(f, "web", NULL, &err), 1);
    assert_int_equal(f->leaves, 4);
    assert_string_equal(f->last_leaf, "web?ns=default&index=5&wait=1us");
}

/* An agent that has restarted, or was not asked before, has nothing yet that it could renew. */
static void test_nothing_to_renew(void **state)
{
    static const char *const answers[] = {"null", "", "internal error: response type not correct",
                                          nothing};
    fixture *f = *state;
    size_t i;

    for (i = 0; i < 2 * sizeof(answers) / sizeof(answers[0]); i++) {
        consul_error err = {0};
        int before = f->leaves;

        f->none = answers[i % (sizeof(answers) / sizeof(answers[0]))];
        if (!get_leaf(f, "web", NULL, &err))
            fail_msg("%s", err.text);
        assert_int_equal(err.reason, 0);
        assert_int_equal(f->leaves, before + 2);
        f->index = 7;
    }
}

/* The agent gets a moment for another leaf if this one does not chain to the roots any more. */
static void test_stale(void **state)
{
    fixture *f = *state;
    consul_error err = {0};

    f->index = 7;
    f->root = &new_ca;
    assert_int_equal(get_leaf(f, "web", NULL, &err), 0);
    assert_error(&err, CONSUL_R_AGENT_ANSWER_INVALID, "does not chain to the roots");
    assert_string_equal(f->last_waiting, "web?ns=default&index=7&wait=100ms");
    assert_string_equal(f->last_leaf, "web?ns=default");
}

/* An agent since 1.16 finds a rotation that it was not waiting for by a request without an index. */
static void test_a_plain_request_finds_the_rotation(void **state)
{
    fixture *f = *state;
    consul_error err = {0};

    f->index = 7;
    assert_int_equal(get_leaf(f, "web", NULL, &err), 1);
    f->root = &new_ca;
    f->plain_leaf = &new_web;
    if (!get_leaf(f, "web", NULL, &err))
        fail_msg("%s", err.text);
    assert_string_equal(f->last_waiting, "web?ns=default&index=7&wait=100ms");
}

static void test_refused(void **state)
{
    fixture *f = *state;
    consul_roots *roots;
    consul_error err = {0};

    f->status = 403;
    assert_int_equal(get_leaf(f, "web", NULL, &err), 0);
    assert_error(&err, CONSUL_R_AGENT_REFUSED, "HTTP status 403: Permission denied");
    assert_contains(err.text, "/v1/agent/connect/ca/leaf/web");
    err = (consul_error){0};
    assert_int_equal(consul_store_roots(f->store, NULL, consul_asking_now(), &roots, &err), 0);
    assert_null(roots);
    assert_error(&err, CONSUL_R_AGENT_REFUSED, "/v1/agent/connect/ca/roots");
}

/* The agent's word is not the reason where the last leaf has expired meanwhile. */
static void test_an_expired_leaf_is_the_reason(void **state)
{
    static const consul_scope scope = {.ns = "default"};
    fixture *f = *state;
    consul_entry *entry =
        consul_table_entry(f->store->table, CONSUL_KIND_LEAF, "web", &scope, NULL);
    char *body = leaf_body(&expired_web, false);
    consul_leaf *leaf = consul_leaf_decode(body, strlen(body), NULL, NULL);
    consul_error err = {0};

    assert_true(entry != NULL && leaf != NULL);
    assert_true(consul_entry_keep_leaf(entry, leaf, NULL, CONSUL_ASKED, consul_now_us(), 0));
    f->status = 403;
    assert_int_equal(get_leaf(f, "web", NULL, &err), 0);
    assert_error(&err, CONSUL_R_OWN_IDENTITY_INVALID, "the last leaf of \"web\" expired on ");
    assert_contains(err.text, "HTTP status 403: Permission denied");
    consul_leaf_unref(leaf);
    free(body);
}

static void test_no_time(void **state)
{
    fixture *f = *state;
    consul_leaf *leaf;
    consul_error err = {0};

    assert_int_equal(consul_store_leaf(f->store, "web", NULL, (consul_asking){0}, &leaf, &err), 0);
    assert_null(leaf);
    assert_error(&err, CONSUL_R_AGENT_TIMEOUT, "no time was left");
    assert_int_equal(http_server_requests(f->server), 0);
}

/* A store outlives the reference of its maker. */
static void test_references(void **state)
{
    fixture *f = *state;
    consul_store *mine = consul_store_ref(f->store);

    assert_ptr_equal(mine, f->store);
    consul_store_unref(mine);
    assert_string_equal(consul_store_settings(f->store)->service, "web");
    consul_store_unref(NULL);
}

static void test_no_service(void **state)
{
    consul_settings *settings = consul_settings_new(NULL, NULL, NULL);
    consul_store *store = consul_store_new(settings, NULL, NULL);
    consul_leaf *leaf;
    consul_error err = {0};

    assert_non_null(store);
    assert_int_equal(consul_store_leaf(store, NULL, NULL, consul_asking_now(), &leaf, &err), 0);
    assert_error(&err, CONSUL_R_SETTING_INVALID, "the setting service is not set");
    assert_null(leaf);
    consul_store_unref(store);
}

static atomic_bool enough;

static void *use_the_lock(void *arg)
{
    while (!atomic_load(&enough)) {
        consul_lock();
        consul_unlock();
    }
    return NULL;
}

/* Any moment may be that of a fork, also before this process watches anything. */
static void test_fork_at_any_moment(void **state)
{
    pthread_t thread;
    int i, status;
    pid_t child;

    atomic_store(&enough, false);
    assert_int_equal(pthread_create(&thread, NULL, use_the_lock, NULL), 0);
    for (i = 0; i < 200; i++) {
        child = fork();
        if (child == 0) {
            alarm(20); /* ends it where it waits for ever */
            consul_lock();
            consul_unlock();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            break;
    }
    atomic_store(&enough, true);
    pthread_join(thread, NULL);
    assert_int_equal(i, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scopes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_namespace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_roots, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_root_of_no_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_intermediate_of_no_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_doubts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_that_is_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_asked_ahead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_no_after_a_yes_ahead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_change_after_a_yes_ahead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_a_hurry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_hurry_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_leaf, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rotation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_end_of_rotation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_renewal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_to_renew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stale, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_plain_request_finds_the_rotation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_expired_leaf_is_the_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_references, set_up, tear_down),
        cmocka_unit_test(test_no_service),
        cmocka_unit_test_setup_teardown(test_fork_at_any_moment, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, make_world, free_world);
}
