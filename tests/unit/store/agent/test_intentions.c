/* SPDX-License-Identifier: Apache-2.0 */
/* Intentions with a condition that the agent does not heed: which of them make its yes void. */
#include "unit.h"

#include <stdio.h>

#include "agent/intentions.h"

#define ALLOW "\"Action\": \"allow\""
#define DENY "\"Action\": \"deny\""
#define JWT ", \"JWT\": {\"Providers\": [{\"Name\": \"okta\"}]}"
#define PEER ", \"SourcePeer\": \"cluster-02\""
#define ROW(source, action, more) \
    "{\"SourceName\": \"" source "\", \"DestinationName\": \"web\", " action more "}"

static const consul_spiffe_id web = {.service = "web"};
static const consul_spiffe_id friend = {
    .uri = "spiffe://td/ns/default/dc/dc1/svc/friend",
    .service = "friend",
    .scope = {.ns = "default", .partition = "default", .dc = "dc1"},
};

static const struct {
    const char *rows; /* in the order of evaluation */
    const char *text; /* why not; NULL where the yes stands */
} lists[] = {
    {"", NULL},
    {ROW("friend", ALLOW, ""), NULL},
    {ROW("friend", DENY, ""), NULL}, /* the agent decides, and is perhaps not that far yet */
    {ROW("friend", ALLOW, JWT), "the intention allow friend => web demands a JWT"},
    {ROW("*", ALLOW, JWT), "the intention allow * => web demands a JWT"},
    {ROW("other", ALLOW, JWT), NULL},
    {ROW("friend", ALLOW, JWT ", \"SourceNS\": \"team\""), NULL},
    {ROW("friend", ALLOW, JWT ", \"SourcePartition\": \"part\""), NULL},
    {ROW("friend", ALLOW, JWT ", \"SourcePartition\": \"default\""), "demands a JWT"},
    {ROW("friend", ALLOW, JWT ", \"SourceNS\": \"default\""), "demands a JWT"},
    {ROW("friend", ALLOW, ", \"JWT\": null"), NULL},
    {ROW("friend", ALLOW, "") "," ROW("*", ALLOW, JWT), NULL},
    {ROW("friend", ALLOW, PEER), "friend => web is about services of the peer \"cluster-02\""},
    {ROW("*", ALLOW, PEER), "the intention allow * => web is about services of the peer"},
    {ROW("friend", ALLOW, PEER) "," ROW("*", ALLOW, ""), NULL},
    {ROW("friend", ALLOW, PEER) "," ROW("*", DENY, ""), "about services of the peer"},
    {ROW("friend", DENY, PEER) "," ROW("*", ALLOW, ""), NULL},
    {ROW("friend", DENY, PEER) "," ROW("*", DENY, ""), NULL}, /* the agent decides, likewise */
    {ROW("friend", DENY, PEER), NULL},
    {ROW("friend", DENY, PEER) "," ROW("friend", ALLOW, PEER),
     "the intention allow friend => web is about"},
    {ROW("friend", ALLOW, "") "," ROW("*", ALLOW, PEER), NULL},
    {ROW("friend", ALLOW, PEER) "," ROW("*", ALLOW, JWT), "demands a JWT"},
    {"17, null, [], \"text\", {}," ROW("friend", ALLOW, JWT), "demands a JWT"},
};

static consul_intentions *decode(const char *body)
{
    consul_intentions *intentions;

    assert_true(consul_intentions_decode(body, strlen(body), &intentions, NULL));
    return intentions;
}

static void test_lists(void **state)
{
    char body[2048];
    size_t i;

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        consul_intentions *intentions;
        consul_error err = {0};

        snprintf(body, sizeof(body), "{\"web\": [%s]}", lists[i].rows);
        intentions = decode(body);
        if (consul_intentions_stand_for(intentions, &web, &friend, &err) != (lists[i].text == NULL))
            fail_msg("%s: %s", body, err.text);
        if (lists[i].text != NULL)
            assert_error(&err, CONSUL_R_PEER_DENIED, lists[i].text);
        consul_intentions_unref(intentions);
    }
}

/* An intention that the agent heeds is not kept. */
static void test_plain_ones(void **state)
{
    static const char *const bodies[] = {
        "{}",
        "{\"web\": null}",
        "{\"web\": {}}",
        "{\"web\": 1}",
        "{\"web\": [" ROW("friend", ALLOW, "") "]}",
    };
    size_t i;

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        assert_null(decode(bodies[i]));
}

static void test_what_is_no_answer(void **state)
{
    static const char *const bodies[] = {"", "[]", "null", "{\"web\": [", "{\"a\":1,\"a\":2}"};
    size_t i;

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        consul_intentions *intentions;

        assert_false(consul_intentions_decode(bodies[i], strlen(bodies[i]), &intentions, NULL));
        assert_null(intentions);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_plain_ones),
        cmocka_unit_test(test_what_is_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
