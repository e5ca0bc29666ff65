/* SPDX-License-Identifier: Apache-2.0 */
/* Logins: their causes, their number, and the result of each fault. */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/login.h"
#include "agent/shared_token.h"
#include "agent_fixture.h"
#include "base/event.h"

#define METHOD "workloads"
#define JWT "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ3ZWIifQ.c2lnbmF0dXJl"
#define MANY 12 /* requests, far more than the logins at once */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __real_clock_gettime(clockid_t clock, struct timespec *ts);

static time_t later; /* seconds that the clock of this process is ahead */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
    int result = __real_clock_gettime(clock, ts);

    if (clock == CLOCK_BOOTTIME)
        ts->tv_sec += later;
    return result;
}

/* An agent with one auth method. Each login makes a token with the next number, and only the last one counts. */
typedef struct workloads {
    agent_fixture *f;
    consul_agent *agent;
    consul_settings settings;
    char jwt_path[128];
    http_reply login;   /* the answer to a login; without a body, the next token */
    const char *begins; /* the fields of its life, with a comma before them; or "" */
    int unheard; /* the number of questions that Consul's servers do not know a new token at */
    int logins, logouts, looks, requests;
    bool logout_hangs;
    bool forgets; /* true where Consul knows no token */
    http_request last_login;
    char body[512];
} workloads;

static bool has_token(const workloads *w, const http_request *request)
{
    char line[64];

    snprintf(line, sizeof(line), "X-Consul-Token: token-%d\r\n", w->logins);
    return w->logins > 0 && !w->forgets && strstr(request->head, line) != NULL;
}

static void handle(const http_request *request, http_reply *reply, void *arg)
{
    workloads *w = arg;
    const http_reply unknown = {.status = 403, .body = "ACL not found"};

    if (strcmp(request->target, "/v1/acl/login") == 0
        || strcmp(request->target, "/v1/acl/login?ns=shop&partition=east") == 0) {
        w->logins++;
        w->last_login = *request;
        *reply = w->login;
        snprintf(w->body, sizeof(w->body), "{\"SecretID\": \"token-%d\"%s}", w->logins, w->begins);
        if (reply->body == NULL)
            reply->body = w->body;
    } else if (strcmp(request->target, "/v1/acl/logout") == 0) {
        w->logouts += strcmp(request->method, "POST") == 0 && has_token(w, request);
        reply->body = "true";
        reply->manner = w->logout_hangs ? HTTP_HANG : HTTP_ANSWER;
    } else if (strcmp(request->target, "/v1/acl/token/self?stale") == 0) {
        w->looks++;
        *reply = has_token(w, request) && w->unheard-- <= 0
                     ? (http_reply){.status = 200, .body = "{}"}
                     : unknown;
    } else {
        w->requests++;
        *reply = has_token(w, request) ? (http_reply){.status = 200, .body = "{}"} : unknown;
    }
}

static void write_jwt(const workloads *w, const char *text)
{
    FILE *file = fopen(w->jwt_path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    workloads *w = calloc(1, sizeof(*w));
    void *fixture;

    assert_non_null(w);
    later = 0;
    agent_set_up(&fixture);
    w->f = fixture;
    w->login = (http_reply){.status = 200};
    w->begins = "";
    http_server_stop(w->f->server);
    w->f->server = http_server_start(NULL, handle, w);
    snprintf(w->f->address, sizeof(w->f->address), "127.0.0.1:%d", http_server_port(w->f->server));
    snprintf(w->jwt_path, sizeof(w->jwt_path), "%s/jwt", w->f->folder);
    write_jwt(w, JWT "\n");
    w->settings = w->f->settings;
    w->settings.login_method = (char *)(uintptr_t)METHOD;
    w->settings.login_bearer_file = w->jwt_path;
    w->agent = agent_make(&w->settings);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    workloads *w = *state;
    void *fixture = w->f;

    consul_event_listen(NULL);
    consul_agent_free(w->agent);
    unlink(w->jwt_path);
    agent_tear_down(&fixture);
    free(w);
    return 0;
}

static int ask(const workloads *w, consul_answer *answer, consul_error *err)
{
    const consul_request request = {.path = PATH, .deadline = CONSUL_NO_DEADLINE};
    int ok;

    memset(err, 0, sizeof(*err));
    ok = consul_agent_ask(w->agent, &request, answer, err);
    consul_answer_free(answer);
    return ok;
}

/* Make a request, which must succeed. */
static void must_ask(const workloads *w)
{
    consul_answer answer;
    consul_error err;

    if (!ask(w, &answer, &err))
        fail_msg("%s", err.text);
}

/* ---- one login ---- */

static void test_one_login_for_all_requests(void **state)
{
    workloads *w = *state;
    int i;

    for (i = 0; i < MANY; i++)
        must_ask(w);
    assert_int_equal(w->logins, 1);
    assert_int_equal(w->looks, 1);
    assert_int_equal(w->requests, MANY);
    assert_string_equal(w->last_login.method, "POST");
    assert_string_equal(w->last_login.body,
                        "{\"AuthMethod\":\"" METHOD "\",\"BearerToken\":\"" JWT "\"}");
    assert_lacks(w->last_login.head, "X-Consul-Token");
}

/* Roots need no token. A login that fails does not matter to them. */
static void test_an_open_request_needs_no_login(void **state)
{
    workloads *w = *state;
    const consul_request request = {.path = PATH, .is_open = true, .deadline = CONSUL_NO_DEADLINE};
    consul_answer answer;
    consul_error err = {0};

    assert_int_equal(consul_agent_ask(w->agent, &request, &answer, &err), 0);
    assert_int_equal(answer.status, 403); /* the agent of this test demands a token for all */
    assert_int_equal(w->logins, 0);
    consul_answer_free(&answer);
}

static void test_namespace_and_partition(void **state)
{
    workloads *w = *state;

    w->settings.ns = (char *)(uintptr_t) "shop";
    w->settings.partition = (char *)(uintptr_t) "east";
    w->settings.datacenter = (char *)(uintptr_t) "dc2";
    must_ask(w);
    assert_string_equal(w->last_login.target, "/v1/acl/login?ns=shop&partition=east");
}

/* A server of Consul may hear of the token late. Its word that it knows none would count for half a minute. */
static void test_the_token_is_used_once_it_is_known(void **state)
{
    workloads *w = *state;

    w->unheard = 3;
    must_ask(w);
    assert_int_equal(w->looks, 4);
    assert_int_equal(w->requests, 1);
    assert_int_equal(w->logins, 1);
}

static void *ask_in_thread(void *arg)
{
    consul_answer answer;
    consul_error err;

    return ask(arg, &answer, &err) ? arg : NULL;
}

static void test_threads_share_a_login(void **state)
{
    workloads *w = *state;
    pthread_t threads[8];
    void *ok;
    size_t i;

    for (i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_in_thread, w), 0);
    for (i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i], &ok), 0);
        assert_non_null(ok);
    }
    assert_int_equal(w->logins, 1);
    assert_int_equal(w->requests, 8);
}

/* As with PostgreSQL: the parent asks nothing, and has a child for each connection. */
static void test_children_share_a_login(void **state)
{
    workloads *w = *state;
    consul_answer answer;
    consul_error err;
    int i, status;
    pid_t child;

    for (i = 0; i < MANY; i++) {
        if ((child = fork()) == 0)
            _exit(ask(w, &answer, &err) ? 0 : 1);
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    must_ask(w);
    assert_int_equal(w->logins, 1);
    assert_int_equal(w->requests, MANY + 1);
}

/* ---- another login ---- */

static void test_a_deleted_token_is_replaced(void **state)
{
    workloads *w = *state;

    must_ask(w);
    write_jwt(w, "another.json.token");
    w->logins++; /* Consul does not know the first token any more */
    must_ask(w);
    assert_int_equal(w->logins, 3);
    assert_int_equal(w->requests, 3);
    assert_contains(w->last_login.body, "\"another.json.token\"");
}

/* A no to the JWT does not make the answer that Consul knows no token a loss of the agent. */
static void test_a_deleted_token_and_no_other(void **state)
{
    workloads *w = *state;
    consul_answer answer;
    consul_error err;

    must_ask(w);
    w->forgets = true;
    w->login = (http_reply){.status = 500, .body = "token is expired (exp)"};
    assert_int_equal(ask(w, &answer, &err), 0);
    assert_error(&err, CONSUL_R_AGENT_REFUSED, "Consul does not know the token of the last login");
    assert_contains(err.text, "HTTP status 500: token is expired (exp) (the auth method \"" METHOD);
    assert_int_equal(answer.status, 403);
    assert_false(answer.lost);
    w->forgets = false;
    w->logins = 1;
    must_ask(w); /* the token counts as long as Consul says so */
    assert_int_equal(w->logins, 1);
}

/* Return the most logins since a moment: three at once, and one in ten seconds. */
static int most_logins(int64_t began)
{
    return 3 + (int)((consul_now_ms() - began) / 10000);
}

static void test_logins_are_bounded(void **state)
{
    workloads *w = *state;
    consul_answer answer;
    consul_error err;
    int64_t began = consul_now_ms();
    int i;

    must_ask(w);
    w->forgets = true;
    for (i = 0; i < MANY; i++) {
        assert_int_equal(ask(w, &answer, &err), 0);
        assert_int_equal(err.reason, CONSUL_R_AGENT_REFUSED);
    }
    assert_between(w->logins, 3, most_logins(began));
    later += 10;
    for (i = 0; i < MANY; i++)
        assert_int_equal(ask(w, &answer, &err), 0);
    assert_between(w->logins, 4, most_logins(began));
}

#define A_MINUTE                                                              \
    ", \"CreateTime\": \"2026-11-28T23:59:40.5-05:00\", \"ExpirationTime\": " \
    "\"2026-11-29T06:00:40.5+01:00\""

static void test_a_token_is_renewed_before_its_end(void **state)
{
    workloads *w = *state;

    w->begins = A_MINUTE;
    must_ask(w);
    later = 20;
    must_ask(w);
    assert_int_equal(w->logins, 1);
    later = 46;
    must_ask(w);
    must_ask(w);
    assert_int_equal(w->logins, 2);
    assert_int_equal(w->requests, 4);
}

static void test_a_token_serves_on_without_its_renewal(void **state)
{
    workloads *w = *state;
    int i;

    w->begins = A_MINUTE;
    must_ask(w);
    later = 46;
    w->login = (http_reply){.status = 500, .body = "no"};
    for (i = 0; i < MANY; i++) {
        w->logins = 1; /* the first token goes on */
        unlink(w->jwt_path);
        must_ask(w);
    }
    assert_int_equal(w->requests, MANY + 1);
}

/* ---- the logout ---- */

/* Only the process that has made the login ends its token, and once. */
static void test_a_logout(void **state)
{
    workloads *w = *state;
    pid_t child;
    int status;

    consul_agent_log_out(w->agent);
    must_ask(w);
    w->settings.authorize_timeout = 10000;
    if ((child = fork()) == 0) {
        consul_agent_log_out(w->agent);
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(w->logouts, 0);
    consul_agent_log_out(w->agent);
    consul_agent_log_out(w->agent);
    assert_int_equal(w->logouts, 1);
    assert_int_equal(w->logins, 1);
}

/* The end of a program waits a second at most. */
static void test_a_logout_without_an_answer(void **state)
{
    workloads *w = *state;
    int64_t began;

    must_ask(w);
    w->settings.authorize_timeout = 60000;
    w->logout_hangs = true;
    began = consul_now_ms();
    consul_agent_log_out(w->agent);
    assert_between(consul_now_ms() - began, 500, 30000);
}

/* ---- faults ---- */

static int losses;

static void count_losses(const consul_event *event)
{
    losses += event->kind == CONSUL_EVENT_AGENT_LOST;
}

static const struct {
    const char *name;
    http_reply reply;
    int reason;
    const char *text;
} faults[] = {
    {"a wrong JWT",
     {.status = 500, .body = "no known key successfully validated the token signature"},
     CONSUL_R_AGENT_REFUSED,
     "no known key successfully validated the token signature (the auth method \"" METHOD
     "\" has not taken the JWT of login_bearer_file \"/tmp/"},
    {"an unknown method",
     {.status = 403, .body = "ACL not found: auth method \"x\" not found"},
     CONSUL_R_AGENT_REFUSED,
     "(Consul has no auth method \"" METHOD "\"; see login_method)"},
    {"no binding rule",
     {.status = 403, .body = "Permission denied"},
     CONSUL_R_AGENT_REFUSED,
     "(no binding rule of the auth method \"" METHOD "\" fits the JWT of \"/tmp/"},
    {"no ACLs",
     {.status = 401, .body = "ACL support disabled"},
     CONSUL_R_AGENT_REFUSED,
     "(ACLs are off in Consul; take login_method out)"},
    {"a blocked path",
     {.status = 403, .body = "Endpoint is blocked by agent configuration"},
     CONSUL_R_AGENT_REFUSED,
     "(http_config.block_endpoints of the agent"},
    {"an empty answer", {.status = 200, .body = ""}, CONSUL_R_AGENT_ANSWER_INVALID, "is empty"},
    {"no JSON", {.status = 200, .body = "yes"}, CONSUL_R_AGENT_ANSWER_INVALID, "not JSON"},
    {"an array", {.status = 200, .body = "[]"}, CONSUL_R_AGENT_ANSWER_INVALID, "not a JSON object"},
    {"no token",
     {.status = 200, .body = "{\"AccessorID\": \"a\"}"},
     CONSUL_R_AGENT_ANSWER_INVALID,
     "SecretID is missing"},
    {"a number",
     {.status = 200, .body = "{\"SecretID\": 1}"},
     CONSUL_R_AGENT_ANSWER_INVALID,
     "SecretID is missing"},
    {"a second header",
     {.status = 200, .body = "{\"SecretID\": \"a\\r\\nX-Other: b\"}"},
     CONSUL_R_AGENT_ANSWER_INVALID,
     "SecretID is no token"},
    {"an end without a begin",
     {.status = 200, .body = "{\"SecretID\": \"a\", \"ExpirationTime\": \"2026-11-28T00:00:00Z\"}"},
     CONSUL_R_AGENT_ANSWER_INVALID,
     "tell no life of the token"},
    {"an end before the begin",
     {.status = 200,
      .body = "{\"SecretID\": \"a\", \"CreateTime\": \"2026-11-28T00:00:00Z\", \"ExpirationTime\": "
              "\"2026-11-28T00:30:00+01:00\"}"},
     CONSUL_R_AGENT_ANSWER_INVALID,
     "tell no life of the token"},
    {"an end in words",
     {.status = 200,
      .body = "{\"SecretID\": \"a\", \"CreateTime\": \"2026-11-28T00:00:00Z\", \"ExpirationTime\": "
              "\"2026-11-28T00:30:00 tomorrow\"}"},
     CONSUL_R_AGENT_ANSWER_INVALID,
     "tell no life of the token"},
};

/* The request is not made, the agent is not lost, and no secret is shown. */
static void test_faults(void **state)
{
    workloads *w = *state;
    consul_answer answer;
    consul_error err;
    size_t i;

    consul_event_listen(count_losses);
    losses = 0;
    for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        later += 60;
        w->login = faults[i].reply;
        assert_int_equal(ask(w, &answer, &err), 0);
        if (err.reason != faults[i].reason || strstr(err.text, faults[i].text) == NULL)
            fail_msg("%s: %s: %s", faults[i].name, consul_reason_text(err.reason), err.text);
        assert_contains(err.text, "POST http://127.0.0.1:");
        assert_lacks(err.text, JWT);
        assert_int_equal(answer.status, 0);
        assert_false(answer.lost);
    }
    assert_int_equal(losses, 0);
    assert_int_equal(w->requests, 0);
    w->login = (http_reply){.status = 200};
    must_ask(w);
}

static void test_a_huge_answer(void **state)
{
    static char body[CONSUL_ANSWER_MAX + 1]; /* the server may still be sending it afterwards */
    workloads *w = *state;
    consul_answer answer;
    consul_error err;

    memset(body, ' ', sizeof(body));
    w->login = (http_reply){.status = 200, .body = body, .len = sizeof(body)};
    assert_int_equal(ask(w, &answer, &err), 0);
    assert_error(&err, CONSUL_R_AGENT_ANSWER_INVALID, "the answer is larger than");
    assert_false(answer.lost);
}

/* The words of the agent are shown in the time in which no login is made, too. */
static void test_refused_logins_are_bounded(void **state)
{
    workloads *w = *state;
    consul_answer answer;
    consul_error err;
    int64_t began = consul_now_ms();
    int i;

    w->login = (http_reply){.status = 500, .body = "because"};
    for (i = 0; i < MANY; i++) {
        assert_int_equal(ask(w, &answer, &err), 0);
        assert_error(&err, CONSUL_R_AGENT_REFUSED, "HTTP status 500: because");
    }
    assert_between(w->logins, 3, most_logins(began));
    assert_contains(err.text, "no login by login_method \"" METHOD "\" is made for some seconds");
}

static void test_an_agent_that_hangs(void **state)
{
    workloads *w = *state;
    const consul_request request = {.path = PATH, .deadline = consul_deadline_after(2000)};
    consul_answer answer;
    consul_error err = {0};

    w->settings.authorize_timeout = 3000;
    w->login.manner = HTTP_HANG;
    assert_int_equal(consul_agent_ask(w->agent, &request, &answer, &err), 0);
    assert_int_equal(err.reason, CONSUL_R_AGENT_TIMEOUT);
    assert_true(answer.unanswered);
    assert_int_equal(w->requests, 0);
    consul_answer_free(&answer);
}

/* An agent that comes back is asked at once. */
static void test_refused_connections_do_not_count(void **state)
{
    workloads *w = *state;
    consul_shared_token *token = consul_shared_token_new();
    int64_t claim;
    int i;

    (void)w;
    assert_non_null(token);
    for (i = 0; i < MANY; i++) {
        assert_int_equal(consul_shared_token_claim(token, consul_deadline_after(1000), &claim),
                         CONSUL_CLAIM_MINE);
        consul_shared_token_fail(token, claim, "refused", false);
    }
    consul_shared_token_free(token);
}

/* A process that was stopped in its login does not overwrite the token of the next one. */
static void test_a_claim_ends(void **state)
{
    workloads *w = *state;
    consul_shared_token *token = consul_shared_token_new();
    char text[CONSUL_SHARED_TEXT_MAX + 1];
    int64_t first, second, third;

    (void)w;
    assert_non_null(token);
    assert_int_equal(consul_shared_token_get(token, text), 0);
    assert_string_equal(text, "");
    assert_int_equal(consul_shared_token_claim(token, consul_deadline_after(30000), &first),
                     CONSUL_CLAIM_MINE);
    assert_int_equal(consul_shared_token_claim(token, consul_deadline_after(30000), &second),
                     CONSUL_CLAIM_OTHERS);
    later += 60;
    assert_int_equal(consul_shared_token_claim(token, consul_deadline_after(30000), &second),
                     CONSUL_CLAIM_MINE);
    assert_false(consul_shared_token_keep(token, first, "first", 0));
    consul_shared_token_fail(token, first, "first", true);
    assert_int_equal(consul_shared_token_claim(token, consul_deadline_after(30000), &third),
                     CONSUL_CLAIM_OTHERS);
    assert_true(consul_shared_token_keep(token, second, "second", 0));
    assert_int_equal(consul_shared_token_get(token, text), 1);
    assert_string_equal(text, "second");
    assert_false(consul_shared_token_is_due(token));
    consul_shared_token_free(token);
}

/* A child that was taken over cannot write lines of its own into the requests of its parent. */
static void test_a_token_of_more_than_a_line(void **state)
{
    static const char *const tokens[] = {"a\r\nX-Other: b", "a b", "\x7f", "\xc3\xa4", ""};
    workloads *w = *state;
    char text[CONSUL_SHARED_TEXT_MAX + 1];
    consul_shared_token *token;
    int64_t claim;
    size_t i;

    (void)w;
    for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        token = consul_shared_token_new();
        assert_non_null(token);
        assert_int_equal(consul_shared_token_claim(token, consul_deadline_after(30000), &claim),
                         CONSUL_CLAIM_MINE);
        assert_true(consul_shared_token_keep(token, claim, tokens[i], 0));
        assert_int_equal(consul_shared_token_get(token, text), 0);
        assert_string_equal(text, "");
        assert_int_equal(consul_shared_token_number(token), 0);
        consul_shared_token_free(token);
    }
}

static const struct {
    const char *content; /* NULL for a file that is missing */
    const char *text;
} files[] = {
    {NULL, "/jwt\" cannot be opened: No such file or directory"},
    {"", "holds no JWT"},
    {" \n", "holds no JWT"},
    {"two words", "holds more than one word"},
    {"a\",\"AuthMethod\":\"other", "holds no JWT"},
    {"a\\u0022", "holds no JWT"},
};

static void test_files(void **state)
{
    workloads *w = *state;
    char *big = malloc(16386);
    consul_answer answer;
    consul_error err;
    size_t i;

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        unlink(w->jwt_path);
        if (files[i].content != NULL)
            write_jwt(w, files[i].content);
        assert_int_equal(ask(w, &answer, &err), 0);
        assert_error(&err, CONSUL_R_SETTING_INVALID, "login_bearer_file \"/tmp/");
        assert_contains(err.text, files[i].text);
        assert_false(answer.lost);
    }
    unlink(w->jwt_path);
    assert_int_equal(mkfifo(w->jwt_path, 0600), 0);
    alarm(10); /* the open of a FIFO would wait without end */
    assert_int_equal(ask(w, &answer, &err), 0);
    alarm(0);
    assert_error(&err, CONSUL_R_SETTING_INVALID, "/jwt\" cannot be opened: it is no regular file");
    unlink(w->jwt_path);
    assert_non_null(big);
    memset(big, 'a', 16385);
    big[16385] = '\0';
    write_jwt(w, big);
    assert_int_equal(ask(w, &answer, &err), 0);
    assert_error(&err, CONSUL_R_SETTING_INVALID, "is longer than 16384 bytes");
    assert_int_equal(w->logins + w->requests, 0);
    big[16384] = '\0';
    write_jwt(w, big);
    must_ask(w);
    free(big);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_login_for_all_requests),
        TEST(test_an_open_request_needs_no_login),
        TEST(test_namespace_and_partition),
        TEST(test_the_token_is_used_once_it_is_known),
        TEST(test_threads_share_a_login),
        TEST(test_children_share_a_login),
        TEST(test_a_deleted_token_is_replaced),
        TEST(test_a_deleted_token_and_no_other),
        TEST(test_logins_are_bounded),
        TEST(test_a_token_is_renewed_before_its_end),
        TEST(test_a_token_serves_on_without_its_renewal),
        TEST(test_a_logout),
        TEST(test_a_logout_without_an_answer),
        TEST(test_faults),
        TEST(test_a_huge_answer),
        TEST(test_refused_logins_are_bounded),
        TEST(test_an_agent_that_hangs),
        TEST(test_refused_connections_do_not_count),
        TEST(test_a_claim_ends),
        TEST(test_a_token_of_more_than_a_line),
        TEST(test_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
