/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that the agent has left without an answer: which they are, and how many are kept. */
#include "unit.h"

#include <stdio.h>

#include "agent/authorize.h"
#include "cache/pending.h"

#define ROOTS "/v1/agent/connect/ca/roots"
#define REASON CONSUL_R_AGENT_TIMEOUT
#define LEAF "/v1/agent/connect/ca/leaf/"

static const consul_scope here, there = {.dc = "dc2"};

static consul_request leaf(const char *service, const consul_scope *scope)
{
    return (consul_request){.path = LEAF, .last_segment = service, .scope = scope};
}

static int set_up(void **state)
{
    return (*state = consul_pending_new(NULL)) == NULL;
}

static int tear_down(void **state)
{
    consul_pending_free(*state);
    return 0;
}

static void test_which(void **state)
{
    consul_pending *all = *state;
    consul_request web = leaf("web", &here), api = leaf("api", &here), far = leaf("web", &there);
    consul_request roots = {.path = ROOTS, .scope = &here}, no_scope = leaf("web", NULL);
    consul_request of_web = {.path = ROOTS, .last_segment = "web", .scope = &here};

    assert_false(consul_pending_any(all));
    consul_pending_add(all, &web, REASON);
    assert_true(consul_pending_any(all));
    assert_int_equal(consul_pending_find(all, &web), REASON);
    assert_int_equal(consul_pending_find(all, &no_scope), REASON);
    assert_int_equal(consul_pending_find(all, &api), 0);
    assert_int_equal(consul_pending_find(all, &far), 0);
    assert_int_equal(consul_pending_find(all, &roots), 0);
    assert_int_equal(consul_pending_find(all, &of_web), 0);
}

static void test_decisions_are_alike(void **state)
{
    consul_request decision = {.path = CONSUL_AUTHORIZE_PATH, .body = "{\"Target\": \"web\"}"};
    consul_request other = {.path = CONSUL_AUTHORIZE_PATH};
    consul_pending_request question = {0};

    consul_pending_add(*state, &decision, REASON);
    consul_pending_add(*state, &other, REASON);
    assert_int_equal(consul_pending_find(*state, &other), REASON);
    assert_true(consul_pending_next(*state, &question));
    assert_string_equal(consul_pending_request_of(&question).body, decision.body);
    assert_ptr_not_equal(question.body, decision.body);
    consul_pending_remove(*state, &question);
    assert_false(consul_pending_any(*state));
    consul_pending_request_clear(&question);
}

/* The last word counts: an agent that could not be asked for a while may turn out to be lost. */
static void test_why(void **state)
{
    consul_request web = leaf("web", &here), api = leaf("api", &here);

    consul_pending_add(*state, &web, REASON);
    consul_pending_add(*state, &api, REASON);
    consul_pending_excuse(*state);
    assert_int_equal(consul_pending_find(*state, &web), CONSUL_R_AGENT_UNREACHABLE);
    assert_int_equal(consul_pending_find(*state, &api), CONSUL_R_AGENT_UNREACHABLE);
    consul_pending_add(*state, &web, REASON);
    assert_int_equal(consul_pending_find(*state, &web), REASON);
    assert_int_equal(consul_pending_find(*state, &api), CONSUL_R_AGENT_UNREACHABLE);
}

static void test_each_in_turn(void **state)
{
    consul_request web = leaf("web", &here), api = leaf("api", &there);
    consul_pending_request question = {0};
    int i, of_web = 0, of_api = 0;

    consul_pending_add(*state, &web, REASON);
    consul_pending_add(*state, &api, REASON);
    for (i = 0; i < 6; i++) {
        assert_true(consul_pending_next(*state, &question));
        of_web += strcmp(question.last_segment, "web") == 0;
        of_api += strcmp(question.last_segment, "api") == 0
                  && strcmp(consul_pending_request_of(&question).scope->dc, "dc2") == 0;
    }
    assert_int_equal(of_web, 3);
    assert_int_equal(of_api, 3);
    consul_pending_remove(*state, &question); /* the last one was api */
    assert_int_equal(consul_pending_find(*state, &web), REASON);
    assert_int_equal(consul_pending_find(*state, &api), 0);
    consul_pending_request_clear(&question);
}

static void test_a_bounded_number(void **state)
{
    char name[16];
    consul_request request = leaf(name, &here);
    int i, kept = 0;

    for (i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "service-%d", i);
        consul_pending_add(*state, &request, REASON);
        consul_pending_add(*state, &request, REASON);
    }
    for (i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "service-%d", i);
        kept += consul_pending_find(*state, &request) == REASON;
    }
    assert_int_equal(kept, 8);
    consul_pending_forget(*state);
    assert_false(consul_pending_any(*state));
    assert_false(consul_pending_next(*state, &(consul_pending_request){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_which, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_decisions_are_alike, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_in_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_bounded_number, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
