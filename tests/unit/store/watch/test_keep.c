/* SPDX-License-Identifier: Apache-2.0 */
/* A query of a watch keeps answers, and vouches for some. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "cache/epoch.h"
#include "mint.h"
#include "watch/keep.h"

#define TD "td.consul"
#define INDEX 7
#define JWT                                                                                      \
    "{\"web\": [{\"SourceName\": \"api\", \"DestinationName\": \"web\", \"Action\": \"allow\", " \
    "\"JWT\": {\"Providers\": [{\"Name\": \"okta\"}]}}]}"

static minted ca, other_ca, web;
static consul_settings settings = {
    .address = (char[]){"127.0.0.1:1"}, .watch_wait = 60000, .request_timeout = 1000};
static const consul_scope scope;
static consul_agent *agent;
static consul_watch watch;
static consul_query query;
static consul_entry *roots, *leaf, *intentions;

static int set_up(void **state)
{
    agent = consul_agent_new(&settings, NULL);
    watch = (consul_watch){.agent = agent, .table = consul_table_new(NULL, NULL)};
    if (agent == NULL || watch.table == NULL)
        return 1;
    roots = consul_table_entry(watch.table, CONSUL_KIND_ROOTS, "", &scope, NULL);
    leaf = consul_table_entry(watch.table, CONSUL_KIND_LEAF, "web", &scope, NULL);
    intentions = consul_table_entry(watch.table, CONSUL_KIND_INTENTIONS, "web", &scope, NULL);
    return roots == NULL || leaf == NULL || intentions == NULL;
}

static int tear_down(void **state)
{
    consul_table_free(watch.table);
    consul_agent_free(agent);
    return 0;
}

/* Give an entry this answer. Return true where it is kept. */
static bool keep(consul_entry *entry, const char *body, uint64_t index)
{
    consul_answer answer = {.body = (char *)(uintptr_t)body, .len = strlen(body), .index = index};
    bool is_news;

    query = (consul_query){.entry = entry, .began = consul_now_ms()};
    return consul_query_keep(&watch, &query, &answer, &is_news);
}

static bool keep_roots_of(const minted *root, uint64_t index)
{
    char *pem = mint_cert_pem(root->cert), *body;
    json_t *json = json_pack("{s:s, s:[{s:s}]}", "TrustDomain", TD, "Roots", "RootCert", pem);
    bool is_kept;

    body = json_dumps(json, 0);
    is_kept = keep(roots, body, index);
    json_decref(json);
    free(body);
    free(pem);
    return is_kept;
}

static bool keep_leaf(uint64_t index)
{
    char *cert = mint_cert_pem(web.cert), *key = mint_key_pem(web.key), *body;
    json_t *json = json_pack("{s:s, s:s}", "CertPEM", cert, "PrivateKeyPEM", key);
    bool is_kept;

    body = json_dumps(json, 0);
    is_kept = keep(leaf, body, index);
    json_decref(json);
    free(body);
    free(cert);
    free(key);
    return is_kept;
}

/* Return true where an entry has an answer for this moment. */
static bool has_one(consul_entry *entry, int64_t since)
{
    consul_roots *kept_roots =
        entry->kind == CONSUL_KIND_ROOTS ? consul_entry_roots(entry, since) : NULL;
    consul_leaf *kept_leaf =
        entry->kind == CONSUL_KIND_LEAF ? consul_entry_leaf(entry, since) : NULL;
    bool has = kept_roots != NULL || kept_leaf != NULL;

    consul_roots_unref(kept_roots);
    consul_leaf_unref(kept_leaf);
    return has;
}

static bool is_vouched_for(consul_entry *entry)
{
    return has_one(entry, INT64_MAX);
}

static void test_good_answers(void **state)
{
    assert_true(keep_roots_of(&ca, INDEX));
    assert_true(keep_leaf(INDEX));
    assert_true(is_vouched_for(roots) && is_vouched_for(leaf));
}

/* No query can wait for a change after such an answer. It is kept. */
static void test_no_index(void **state)
{
    assert_true(keep_roots_of(&ca, 0));
    assert_true(keep_leaf(0));
    assert_true(has_one(roots, CONSUL_EVER) && has_one(leaf, CONSUL_EVER));
    assert_false(is_vouched_for(roots) || is_vouched_for(leaf));
    assert_true(keep(intentions, "{\"web\": []}", 0));
    assert_int_equal(intentions->fresh_until, 0);
}

static void test_a_leaf_of_other_roots(void **state)
{
    assert_false(keep_leaf(INDEX)); /* no roots are known */
    assert_true(keep_roots_of(&other_ca, INDEX));
    assert_false(keep_leaf(INDEX));
    assert_false(has_one(leaf, CONSUL_EVER));
    assert_true(keep_roots_of(&ca, INDEX + 1));
    assert_true(keep_leaf(INDEX));
}

/* Without the present intentions no watch vouches for the last ones. The query fails, and begins anew. */
static void test_intentions_that_do_not_parse(void **state)
{
    static const char *const bodies[] = {"", "[]", "{\"web\": [", "No cluster leader"};
    consul_intentions *unheeded;
    bool is_fresh;
    size_t i;

    assert_true(keep(intentions, JWT, INDEX));
    assert_true(intentions->fresh_until != 0);
    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        assert_false(keep(intentions, bodies[i], INDEX + 1));
    unheeded = consul_entry_unheeded(intentions, &is_fresh);
    assert_non_null(unheeded);
    consul_intentions_unref(unheeded);
    assert_true(keep(intentions, "{\"web\": []}", INDEX + 1));
    assert_null(consul_entry_unheeded(intentions, &is_fresh));
}

static int make_world(void **state)
{
    ca = mint_ca(TD);
    other_ca = mint_ca(TD);
    web = mint_leaf(&ca, TD, "web");
    return 0;
}

static int free_world(void **state)
{
    minted_free(&web);
    minted_free(&other_ca);
    minted_free(&ca);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_leaf_of_other_roots, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_intentions_that_do_not_parse, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, make_world, free_world);
}
