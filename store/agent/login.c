/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/login.h"

#include "agent/decode.h"
#include "agent/token.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>
#include <openssl/crypto.h>

#define LOGIN_PATH "/v1/acl/login"
#define LOGOUT_PATH "/v1/acl/logout"
#define LOGOUT_MS 1000 /* the longest time of a logout, which the end of a program waits for */
#define SELF_PATH "/v1/acl/token/self"
#define BEARER_MAX 16384 /* bytes of a JWT; a JWT of Kubernetes has 1 kB */
#define LOOK_MS 5        /* between two looks for the login of another thread or process */
#define KNOWN_LOOK_MS 50 /* between two questions whether Consul's servers know the token */
#define KNOWN_LOOKS 20
#define CLAIM_MORE_MS 1000 /* a claim lasts longer than its login, for a process that was held up */

static void rest(int64_t milliseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000}, NULL);
}

/* Return true for a text with the characters of a JWT alone (RFC 7515, 7.1). */
static bool is_jwt(const char *text)
{
    return *text != '\0'
           && text[strspn(text,
                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.=")]
                  == '\0';
}

static void free_body(char *body)
{
    if (body != NULL)
        OPENSSL_cleanse(body, strlen(body));
    free(body);
}

/*
 * Return the JSON of a login, for free_body. The JWT is read anew, as it is replaced from time to time. Return NULL
 * with an error without a JWT.
 */
static char *make_body(const consul_settings *settings, consul_error *err)
{
    char *bearer = OPENSSL_zalloc(BEARER_MAX + 1), *body = NULL;
    const char *path = settings->login_bearer_file;
    json_t *json = NULL;

    if (bearer == NULL)
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a login");
    else if (consul_token_read_word("login_bearer_file", path, bearer, BEARER_MAX, err)) {
        if (!is_jwt(bearer))
            consul_error_set(err, CONSUL_R_SETTING_INVALID, "login_bearer_file \"%s\" holds no JWT",
                             path);
        else if ((json = json_pack("{s:s, s:s}", "AuthMethod", settings->login_method,
                                   "BearerToken", bearer))
                     == NULL
                 || (body = json_dumps(json, JSON_COMPACT)) == NULL)
            consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a login");
    }
    json_decref(json);
    OPENSSL_clear_free(bearer, BEARER_MAX + 1);
    return body;
}

/* Return the namespace and the partition of the settings. The auth method is of the agent's own datacenter. */
static consul_scope scope_of(const consul_settings *settings)
{
    consul_scope scope = {0};

    if (settings->ns != NULL)
        OPENSSL_strlcpy(scope.ns, settings->ns, sizeof(scope.ns));
    if (settings->partition != NULL)
        OPENSSL_strlcpy(scope.partition, settings->partition, sizeof(scope.partition));
    return scope;
}

/*
 * Wait until the server that the agent asks knows the token. It may not have heard of it yet. The agent would keep
 * that answer for half a minute (acl.token_ttl).
 */
static void wait_until_known(const consul_agent *agent, const char *token, consul_deadline deadline,
                             consul_answer *answer)
{
    const consul_request request = {
        .path = SELF_PATH, .token = token, .stale = true, .deadline = deadline};
    /* The other half of the time is for the request. */
    consul_deadline half = consul_now_ms() + (deadline - consul_now_ms()) / 2;
    bool known;
    int i;

    for (i = 0; i < KNOWN_LOOKS && consul_deadline_after(KNOWN_LOOK_MS) < half; i++) {
        consul_agent_request(agent, &request, answer, NULL);
        known = !answer->disowned;
        consul_answer_free(answer);
        if (known)
            return;
        rest(KNOWN_LOOK_MS);
    }
}

/* Make a login, with the claim to it. Return 0 with an error, and with the answer that is the reason, if any. */
static int log_in(const consul_agent *agent, consul_deadline deadline, char *token, int64_t *life,
                  consul_answer *answer, consul_error *err)
{
    consul_scope scope = scope_of(agent->settings);
    consul_request request = {
        .path = LOGIN_PATH, .scope = &scope, .logs_in = true, .deadline = deadline};
    char *body = make_body(agent->settings, err);
    int ok;

    memset(answer, 0, sizeof(*answer));
    if (body == NULL)
        return 0;
    request.body = body;
    ok = consul_agent_request(agent, &request, answer, err);
    free_body(body);
    if (ok
        && !consul_login_decode(answer->body, answer->len, token, CONSUL_SHARED_TEXT_MAX + 1, life,
                                err)) {
        consul_error_prefix(err, "%s: ", answer->source);
        ok = 0;
    }
    consul_answer_free(answer);
    if (ok)
        wait_until_known(agent, token, deadline, answer);
    return ok;
}

/* Make the login of a claim, and tell all that share it of the outcome. */
static int log_in_for_all(const consul_agent *agent, int64_t claim, consul_deadline deadline,
                          consul_answer *answer, consul_error *err)
{
    char token[CONSUL_SHARED_TEXT_MAX + 1] = "";
    consul_error why = {0};
    int64_t life = 0;
    int ok = log_in(agent, deadline, token, &life, answer, &why);

    if (ok)
        consul_shared_token_keep(agent->login, claim, token, life);
    else
        /* Without an answer in time it was tried. A connection that was refused has cost nothing. */
        consul_shared_token_fail(agent->login, claim, why.text,
                                 answer->status != 0 || answer->unanswered);
    OPENSSL_cleanse(token, sizeof(token));
    return ok || consul_error_copy(err, &why);
}

/* Return the latest moment for the end of a login. */
static consul_deadline bounded(const consul_agent *agent, consul_deadline deadline)
{
    consul_deadline most = consul_deadline_after(agent->settings->request_timeout);

    return deadline < most ? deadline : most;
}

/*
 * Get a token other than that of login number `old`, from this or from another thread or process. Return 0 with an
 * error without one. `answer` is then that of the agent to the login, without a body.
 */
static int get_token(const consul_agent *agent, unsigned old, consul_deadline deadline,
                     consul_answer *answer, consul_error *err)
{
    consul_deadline until = bounded(agent, deadline);
    char why[CONSUL_SHARED_TEXT_MAX + 1];
    enum consul_claim state;
    unsigned number;
    int64_t claim;

    memset(answer, 0, sizeof(*answer));
    for (;;) {
        number = consul_shared_token_number(agent->login);
        if (number != 0 && number != old)
            return 1;
        state = consul_shared_token_claim(agent->login, until + CLAIM_MORE_MS, &claim);
        if (state == CONSUL_CLAIM_MINE)
            return log_in_for_all(agent, claim, until, answer, err);
        if (state == CONSUL_CLAIM_SPENT || consul_deadline_after(LOOK_MS) >= until)
            break;
        rest(LOOK_MS);
    }
    consul_shared_token_reason(agent->login, why);
    if (state == CONSUL_CLAIM_OTHERS)
        return consul_error_set(err, CONSUL_R_AGENT_UNREACHABLE,
                                "another login by login_method \"%s\" has no answer yet",
                                agent->settings->login_method);
    return consul_error_set(err, CONSUL_R_AGENT_REFUSED,
                            "no login by login_method \"%s\" is made for some seconds, after "
                            "several%s%s",
                            agent->settings->login_method, *why == '\0' ? "" : ": ", why);
}

/* Make a login before the token ends, unless another thread does. The token serves on without that. */
static void renew(const consul_agent *agent, consul_deadline deadline)
{
    consul_deadline until = consul_now_ms() + (bounded(agent, deadline) - consul_now_ms()) / 2;
    consul_answer answer;
    int64_t claim;

    if (consul_shared_token_claim(agent->login, until + CLAIM_MORE_MS, &claim) == CONSUL_CLAIM_MINE)
        log_in_for_all(agent, claim, until, &answer, NULL);
}

/* Make a request again, with a token other than that of login number `old`, which Consul does not know. */
static int ask_again(const consul_agent *agent, const consul_request *request, unsigned old,
                     consul_answer *answer, consul_error *err)
{
    consul_answer of_login;
    consul_error why = {0};

    if (!get_token(agent, old, request->deadline, &of_login, &why))
        return consul_error_set(err, CONSUL_R_AGENT_REFUSED,
                                "%s: Consul does not know the token of the last login, and there "
                                "is no other: %s",
                                answer->source, why.text);
    consul_answer_free(answer);
    return consul_agent_request(agent, request, answer, err);
}

int consul_agent_ask(const consul_agent *agent, const consul_request *request,
                     consul_answer *answer, consul_error *err)
{
    int64_t began = consul_now_ms();
    consul_error why = {0};
    unsigned number;

    if (agent->login == NULL || request->is_open)
        return consul_agent_request(agent, request, answer, err);
    number = consul_shared_token_number(agent->login);
    if (number == 0 && !get_token(agent, 0, request->deadline, answer, err)) {
        /* The answer tells whether the agent hangs or is crowded. Its status is no answer to the request. */
        answer->status = 0;
        answer->began = began;
        return 0;
    }
    if (number != 0 && consul_shared_token_is_due(agent->login))
        renew(agent, request->deadline);
    number = consul_shared_token_number(agent->login);
    if (consul_agent_request(agent, request, answer, &why))
        return 1;
    return answer->disowned ? ask_again(agent, request, number, answer, err)
                            : consul_error_copy(err, &why);
}

void consul_agent_log_out(const consul_agent *agent)
{
    consul_request request = {.path = LOGOUT_PATH, .body = ""};
    consul_answer answer;
    int64_t most;

    if (agent->login == NULL || !consul_shared_token_disclaim(agent->login))
        return;
    most = agent->settings->authorize_timeout;
    request.deadline = consul_deadline_after(most < LOGOUT_MS ? most : LOGOUT_MS);
    consul_agent_request(agent, &request, &answer, NULL);
    consul_answer_free(&answer);
}
