/* SPDX-License-Identifier: Apache-2.0 */
/* The effect of each kind of answer of the agent, and of a missing answer. */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/curl_tls.h"
#include "agent_fixture.h"

/* ---- answers ---- */

static const struct {
    const char *name;
    http_reply reply;
    int reason;
    const char *text;
} bad_answers[] = {
    {"denied",
     {.status = 403, .body = "Permission denied: token lacks permission"},
     CONSUL_R_AGENT_REFUSED,
     "HTTP status 403: Permission denied: token lacks permission (no ACL token was sent; set "
     "token_file"},
    {"blocked",
     {.status = 403, .body = "Endpoint is blocked by agent configuration"},
     CONSUL_R_AGENT_REFUSED,
     "(http_config.block_endpoints of the agent"},
    {"restricted",
     {.status = 403, .body = "Access is restricted"},
     CONSUL_R_AGENT_REFUSED,
     "(http_config.allow_write_http_from of the agent"},
    {"limited by the servers",
     {.status = 429, .body = "rate limit exceeded, try again later or against a different server"},
     CONSUL_R_AGENT_REFUSED,
     "(see limits.request_limits"},
    {"limited by the leader",
     {.status = 503,
      .body = "rate limit exceeded for operation that can only be performed by the "
              "leader, try again later"},
     CONSUL_R_AGENT_REFUSED,
     "(see limits.request_limits"},
    {"HTTPS",
     {.status = 400, .body = "Client sent an HTTP request to an HTTPS server.\n"},
     CONSUL_R_AGENT_REFUSED,
     "(the agent speaks HTTPS there; write https:// in address)"},
    {"no leader",
     {.status = 500, .body = "No cluster leader\n"},
     CONSUL_R_AGENT_REFUSED,
     "HTTP status 500: No cluster leader"},
    {"rate limit", {.status = 429}, CONSUL_R_AGENT_REFUSED, "HTTP status 429: no text"},
    {"created", {.status = 201, .body = "{}"}, CONSUL_R_AGENT_REFUSED, "HTTP status 201"},
    {"no content", {.status = 204}, CONSUL_R_AGENT_REFUSED, "HTTP status 204"},
    {"moved",
     {.status = 301, .headers = "Location: /v1/agent/elsewhere\r\n", .body = "x"},
     CONSUL_R_AGENT_REFUSED,
     "HTTP status 301"},
    {"lines and control characters",
     {.status = 500, .body = "a\r\nb\033[31m\tc"},
     CONSUL_R_AGENT_REFUSED,
     "HTTP status 500: a  b?[31m c"},
    {"empty", {.status = 200}, CONSUL_R_AGENT_ANSWER_INVALID, "the answer is empty"},
    {"no answer", {.manner = HTTP_CLOSE}, CONSUL_R_AGENT_UNREACHABLE, "GET http://127.0.0.1:"},
    {"half an answer",
     {.manner = HTTP_CUT, .status = 200, .body = "{\"a\": 1}"},
     CONSUL_R_AGENT_UNREACHABLE,
     "GET http://127.0.0.1:"},
    {"no HTTP",
     {.manner = HTTP_RAW, .body = "{\"Authorized\": true}"},
     CONSUL_R_AGENT_UNREACHABLE,
     "GET http://127.0.0.1:"},
};

static void test_bad_answers(void **state)
{
    agent_fixture *f = *state;
    size_t i;

    for (i = 0; i < sizeof(bad_answers) / sizeof(bad_answers[0]); i++) {
        consul_error err = {0};
        int before = http_server_requests(f->server);

        f->reply = bad_answers[i].reply;
        if (agent_ask_plainly(f, &err))
            fail_msg("%s was accepted", bad_answers[i].name);
        assert_error(&err, bad_answers[i].reason, bad_answers[i].text);
        assert_contains(err.text, PATH);
        /* No redirect is followed. Only a request without any answer is tried again. */
        assert_int_equal(http_server_requests(f->server),
                         before + (bad_answers[i].reply.manner == HTTP_CLOSE ? 7 : 1));
    }
}

/*
 * Newer agents send this unasked, before they close a connection too many. A request that was sent
 * meanwhile makes the close a reset. The text is no answer: the request is tried again, as after a
 * reset without a word.
 */
static void test_connections_too_many(void **state)
{
    static const char text[] = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\n"
                               "Connection: close\r\n\r\nYour IP is issuing too many concurrent "
                               "connections, please rate limit your calls\n";
    static const enum http_manner manners[] = {HTTP_RAW, HTTP_RAW_RESET};
    const consul_request request = {.path = PATH, .deadline = CONSUL_NO_DEADLINE};
    agent_fixture *f = *state;
    consul_answer limited;
    size_t i;

    for (i = 0; i < sizeof(manners) / sizeof(manners[0]); i++) {
        int before = http_server_requests(f->server);
        consul_error err = {0};
        consul_answer answer;

        f->reply = (http_reply){.manner = manners[i], .body = text};
        assert_int_equal(agent_ask(f, &request, &answer, &err), 0);
        assert_error(&err, CONSUL_R_AGENT_UNREACHABLE,
                     "HTTP status 429: Your IP is issuing too many concurrent connections");
        assert_true(answer.crowded_out);
        assert_int_equal(http_server_requests(f->server), before + 7);
        consul_answer_free(&answer);
    }

    f->reply = (http_reply){.status = 429, .body = "Rate limit reached, try again later"};
    assert_int_equal(agent_ask(f, &request, &limited, NULL), 0);
    assert_false(limited.crowded_out || limited.limited);
    consul_answer_free(&limited);
}

/* Where nothing can serve instead, the agent's rate limit is waited for, but not beyond the time. */
static void test_insisting(void **state)
{
    agent_fixture *f = *state;
    consul_request request = {.path = PATH, .insists = true};
    consul_answer answer;
    consul_error err = {0};
    int requests;

    f->reply = (http_reply){.status = 429, .body = "Rate limit reached, try again later"};
    request.deadline = consul_deadline_after(500);
    assert_int_equal(agent_ask(f, &request, &answer, &err), 0);
    /* All tries would take two seconds more at least. A busy machine may take some of that. */
    assert_true(consul_now_ms() <= request.deadline + 1000);
    assert_error(&err, CONSUL_R_AGENT_REFUSED, "HTTP status 429: Rate limit reached");
    assert_true(answer.limited);
    consul_answer_free(&answer);
    requests = http_server_requests(f->server);
    assert_between(requests, 2, 4);

    f->reply = (http_reply){.status = 500, .body = "No cluster leader"};
    assert_int_equal(agent_ask(f, &request, &answer, NULL), 0);
    consul_answer_free(&answer);
    assert_int_equal(http_server_requests(f->server), requests + 1);
}

static void test_long_error_text_is_cut(void **state)
{
    agent_fixture *f = *state;
    char text[2001];
    consul_error err = {0};

    memset(text, 'x', 2000);
    text[2000] = '\0';
    f->reply = (http_reply){.status = 403, .body = text};
    assert_int_equal(agent_ask_plainly(f, &err), 0);
    assert_contains(err.text, "service:write"); /* the advice is still there */
}

static void test_size_limit(void **state)
{
    agent_fixture *f = *state;
    const consul_request request = {.path = PATH, .deadline = CONSUL_NO_DEADLINE};
    char *body = malloc(CONSUL_ANSWER_MAX + 1);
    consul_answer answer;
    consul_error err = {0};

    assert_non_null(body);
    memset(body, 'x', CONSUL_ANSWER_MAX + 1);
    f->reply = (http_reply){.status = 200, .body = body, .len = CONSUL_ANSWER_MAX};
    assert_int_equal(agent_ask(f, &request, &answer, &err), 1);
    assert_int_equal(answer.len, CONSUL_ANSWER_MAX);
    assert_int_equal(answer.body[CONSUL_ANSWER_MAX], '\0');
    consul_answer_free(&answer);

    f->reply.len = CONSUL_ANSWER_MAX + 1;
    assert_int_equal(agent_ask(f, &request, &answer, &err), 0);
    assert_error(&err, CONSUL_R_AGENT_ANSWER_INVALID, "larger than 4194304 bytes");
    assert_null(answer.body);
    free(body);
}

/* ---- time ---- */

static void test_no_time_left(void **state)
{
    agent_fixture *f = *state;
    const consul_deadline deadlines[] = {0, 1, consul_now_ms(), consul_deadline_after(-1000)};
    size_t i;

    for (i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++) {
        const consul_request request = {.path = PATH, .deadline = deadlines[i]};
        consul_answer answer;
        consul_error err = {0};

        assert_int_equal(agent_ask(f, &request, &answer, &err), 0);
        assert_error(&err, CONSUL_R_AGENT_TIMEOUT, "no time was left");
    }
    assert_int_equal(http_server_requests(f->server), 0);
}

/* Each limit alone ends a request: the other one would let it run for half a minute. */
static void test_timeouts(void **state)
{
    static const enum http_manner manners[] = {HTTP_HANG, HTTP_STALL};
    agent_fixture *f = *state;
    size_t i;

    for (i = 0; i < sizeof(manners) / sizeof(manners[0]); i++) {
        consul_request request = {.path = PATH, .deadline = CONSUL_NO_DEADLINE};
        int64_t start = consul_now_ms();
        consul_answer answer;
        consul_error err = {0};

        f->reply = (http_reply){.manner = manners[i], .status = 200, .body = "{\"a\": 1}"};
        f->settings.request_timeout = 50;
        assert_int_equal(agent_ask(f, &request, &answer, &err), 0);
        assert_error(&err, CONSUL_R_AGENT_TIMEOUT, PATH);

        f->settings.request_timeout = 30000;
        request.deadline = consul_deadline_after(50);
        err = (consul_error){0};
        assert_int_equal(agent_ask(f, &request, &answer, &err), 0);
        assert_error(&err, CONSUL_R_AGENT_TIMEOUT, PATH);
        assert_true(consul_now_ms() - start < 15000);
    }
}

/* A request that got the rest of a handshake's time proves no loss. */
static void test_a_short_rest_of_time(void **state)
{
    agent_fixture *f = *state;
    const int64_t half = 100;
    int more;

    f->reply = (http_reply){.manner = HTTP_HANG};
    f->settings.authorize_timeout = (int)(2 * half);
    for (more = 0; more < 2; more++) {
        const consul_request request = {
            .path = PATH, .deadline = consul_deadline_after(more ? 2 * half : half - 1)};
        consul_answer answer;
        consul_error err = {0};

        assert_int_equal(agent_ask(f, &request, &answer, &err), 0);
        assert_error(&err, CONSUL_R_AGENT_TIMEOUT, PATH);
        assert_int_equal(answer.unanswered, more);
        assert_int_equal(answer.lost, more);
    }
}

/* ---- cancelled threads ---- */

typedef struct asker {
    agent_fixture *fixture;
    bool returned;
} asker;

static void *ask_cancelled(void *arg)
{
    asker *a = arg;

    pthread_cancel(pthread_self());
    agent_ask_plainly(a->fixture, NULL);
    a->returned = true;
    pthread_testcancel();
    return arg;
}

/* A host may cancel the thread that asks: it has its answer first, and nothing is left half done. */
static void test_cancelled_threads(void **state)
{
    agent_fixture *f = *state;
    int tls;

    for (tls = 0; tls < (consul_curl_tls_is_ours() ? 2 : 1); tls++) {
        asker a = {.fixture = f};
        pthread_t thread;
        void *result;

        f->settings.tls = tls == 1;
        assert_int_equal(pthread_create(&thread, NULL, ask_cancelled, &a), 0);
        pthread_join(thread, &result);
        assert_ptr_equal(result, PTHREAD_CANCELED);
        assert_true(a.returned);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bad_answers, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_insisting, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_connections_too_many, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_long_error_text_is_cut, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_size_limit, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_no_time_left, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_timeouts, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_a_short_rest_of_time, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled_threads, agent_set_up, agent_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
