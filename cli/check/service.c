/* SPDX-License-Identifier: Apache-2.0 */
#include "check/service.h"

#include "agent/decode.h"
#include "base/file.h"
#include "common/certificate.h"
#include "identity/cert.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

#define LEAF_PATH "/v1/agent/connect/ca/leaf/"
#define SELF_PATH "/v1/acl/token/self"
#define TOKEN_SIZE 512

/* Name the place that the token comes from, and not the token; NULL without a token. */
static const char *source_of(const cli_chain *chain, char text[TOKEN_SIZE])
{
    const consul_settings *settings = consul_store_settings(chain->agent.store);
    char word[8] = "";
    const char *why;
    FILE *file = settings->token_file == NULL ? NULL : consul_file_open(settings->token_file, &why);
    bool in_file = file != NULL && fscanf(file, "%7s", word) == 1;

    if (file != NULL)
        fclose(file);
    OPENSSL_cleanse(word, sizeof(word));
    if (settings->login_method != NULL)
        snprintf(text, TOKEN_SIZE, "the token of the auth method %s", settings->login_method);
    else if (in_file)
        snprintf(text, TOKEN_SIZE, "the token of token_file %s", settings->token_file);
    else if (settings->token != NULL)
        snprintf(text, TOKEN_SIZE, "the token of the setting or of CONSUL_HTTP_TOKEN");
    else if (settings->token_file != NULL)
        snprintf(text, TOKEN_SIZE, "no token, as token_file %s is empty", settings->token_file);
    else
        snprintf(text, TOKEN_SIZE, "no token");
    return settings->login_method != NULL || in_file || settings->token != NULL ? text : NULL;
}

/* Write which token it is in Consul's own list: its accessor is no secret. */
static void describe(const cli_chain *chain, char text[TOKEN_SIZE])
{
    consul_request request = {.path = SELF_PATH};
    consul_answer answer = {0};
    json_t *json = NULL;
    const char *accessor, *description;

    *text = '\0';
    if (cli_agent_ask(&chain->agent, &request, &answer, NULL))
        json = consul_json_load_object(answer.body, answer.len, NULL);
    accessor = json_string_value(json_object_get(json, "AccessorID"));
    description = json_string_value(json_object_get(json, "Description"));
    if (accessor != NULL)
        snprintf(text, TOKEN_SIZE, " (accessor %.40s%s%.100s)", accessor,
                 description == NULL || *description == '\0' ? "" : ", ",
                 description == NULL ? "" : description);
    json_decref(json);
    consul_answer_free(&answer);
}

static bool report_refusal(cli_chain *chain, const char *why)
{
    const char *service = chain->service.name;
    char source[TOKEN_SIZE], accessor[TOKEN_SIZE], cure[TOKEN_SIZE];
    bool sent = source_of(chain, source) != NULL;

    snprintf(
        cure, sizeof(cure),
        consul_store_settings(chain->agent.store)->login_method != NULL
            ? "see the binding rules of the auth method: one has to bind the service \"%.200s\""
            : "give the token a policy with service \"%.200s\" { policy = \"write\" }",
        service);
    if (strstr(why, "Endpoint is blocked") != NULL || strstr(why, "not allowed to") != NULL)
        return cli_broken(chain, CLI_LINK_TOKEN, "see http_config of the agent",
                          "the agent blocks this request, whatever the token: %s", why);
    if (!sent)
        return cli_broken(chain, CLI_LINK_TOKEN,
                          "name a token with service:write on the service: token_file = FILE",
                          "%s was sent, and the agent demands a token: %s", source, why);
    if (strstr(why, "ACL not found") != NULL)
        return cli_broken(chain, CLI_LINK_TOKEN, "make a new token in Consul, and write it there",
                          "Consul does not know %s: %s", source, why);
    describe(chain, accessor);
    return cli_broken(chain, CLI_LINK_TOKEN, cure, "%s%s has no service:write on \"%s\": %s",
                      source, accessor, service, why);
}

/* Report a login that has failed. The hint of the error names the part that Consul does not take. */
static bool report_login(cli_chain *chain, const char *why)
{
    static const struct {
        const char *words, *cure;
    } cures[] = {
        {"ACLs are off in Consul", "take login_method and login_bearer_file out"},
        {"Consul has no auth method",
         "write the name of an auth method into login_method: consul acl "
         "auth-method list"},
        {"no binding rule",
         "make a rule that fits the claims of the JWT: consul acl binding-rule create"},
        {"has not taken the JWT",
         "compare issuer, audience, keys and times of the JWT with the auth "
         "method: consul acl auth-method read"},
        {"login_bearer_file", "let the user of the program read that file, which holds a JWT"},
        {"", "see the log of the agent"},
    };
    size_t i = 0;

    while (strstr(why, cures[i].words) == NULL)
        i++;
    return cli_broken(chain, CLI_LINK_TOKEN, cures[i].cure, "the login fails: %s", why);
}

/* Ask for a leaf; an answer of another kind than a refusal is the link of the leaf. */
bool cli_check_token(cli_chain *chain)
{
    consul_request leaf = {
        .path = LEAF_PATH, .last_segment = chain->service.name, .scope = &chain->service.scope};
    consul_request match = {.path = CLI_MATCH_PATH, .destination = chain->service.name};
    const consul_settings *settings = consul_store_settings(chain->agent.store);
    char source[TOKEN_SIZE];
    consul_answer answer = {0};
    consul_error err = {0};
    bool refused;

    if (*chain->service.name == '\0')
        return cli_broken(chain, CLI_LINK_TOKEN, "add --service NAME",
                          "no service is named: the file has no row service");
    cli_agent_ask(&chain->agent, &leaf, &answer, &err);
    refused = answer.status == 403;
    if (settings->login_method != NULL && answer.status == 0 && err.reason != 0) {
        consul_answer_free(&answer);
        return report_login(chain, err.text);
    }
    if (!refused && err.reason == CONSUL_R_SETTING_INVALID) {
        consul_answer_free(&answer);
        return cli_broken(chain, CLI_LINK_TOKEN, "let the user of the program read that file", "%s",
                          err.text);
    }
    consul_answer_free(&answer);
    if (refused)
        return report_refusal(chain, err.text);
    err = (consul_error){0};
    if (!cli_agent_ask(&chain->agent, &match, &answer, &err)) {
        consul_answer_free(&answer);
        return cli_broken(
            chain, CLI_LINK_TOKEN, "let the policy of the token read the intentions of the service",
            "the intentions of \"%s\" cannot be read: %s", chain->service.name, err.text);
    }
    consul_answer_free(&answer);
    if (source_of(chain, source) == NULL)
        return cli_ok(chain, CLI_LINK_TOKEN, "%s was sent, and the agent demands none", source);
    return cli_ok(chain, CLI_LINK_TOKEN, "%s has service:write on \"%s\"", source,
                  chain->service.name);
}

bool cli_check_leaf(cli_chain *chain)
{
    char until[CLI_TIME_SIZE], length[CLI_TIME_SIZE], *serial;
    consul_error err = {0};
    const X509 *cert;
    int64_t left;

    if (!consul_store_leaf(chain->agent.store, chain->service.name, &chain->service.scope,
                           consul_asking_now(), &chain->leaf, &err))
        return cli_broken(
            chain, CLI_LINK_LEAF,
            strstr(err.text, "expired") != NULL || strstr(err.text, "not valid") != NULL
                ? "check this host's clock; else restart the agent, which renews leaves"
                : "see the log of the agent",
            "the agent gives no good leaf of \"%s\": %s", chain->service.name, err.text);
    cert = consul_leaf_cert(chain->leaf);
    left = cli_time_left(X509_get0_notAfter(cert));
    serial = consul_cert_serial(cert, NULL);
    cli_ok(chain, CLI_LINK_LEAF, "%s, serial %s, valid until %s (%s left)",
           consul_leaf_id(chain->leaf)->uri, serial == NULL ? "unreadable" : serial,
           cli_time(X509_get0_notAfter(cert), until), cli_length(left, length));
    OPENSSL_free(serial);
    return true;
}

/* Return the name of a source that an intention of the service allows, to be freed; NULL without one. */
static char *find_allowed(const cli_chain *chain, consul_error *err)
{
    consul_request match = {.path = CLI_MATCH_PATH, .destination = chain->service.name};
    consul_answer answer = {0};
    json_t *json = NULL, *rows, *row;
    const char *key, *source;
    char *found = NULL;
    size_t i;

    if (cli_agent_ask(&chain->agent, &match, &answer, err))
        json = consul_json_load_object(answer.body, answer.len, err);
    json_object_foreach(json, key, rows) {
        json_array_foreach(rows, i, row) {
            const char *action = json_string_value(json_object_get(row, "Action"));

            source = json_string_value(json_object_get(row, "SourceName"));
            if (found == NULL && action != NULL && source != NULL && strcmp(action, "allow") == 0)
                found = OPENSSL_strdup(source);
        }
    }
    json_decref(json);
    consul_answer_free(&answer);
    return found;
}

/* Check without --from that a service is allowed, by an intention or by default. */
static bool check_any(cli_chain *chain)
{
    const consul_spiffe_id *id = consul_leaf_id(chain->leaf);
    consul_error err = {0};
    char *allowed = find_allowed(chain, &err);
    bool ok;

    if (allowed != NULL)
        ok = cli_ok(chain, CLI_LINK_INTENTIONS,
                    "\"%s\" may connect to \"%s\"; --from asks for another",
                    strcmp(allowed, "*") == 0 ? "any service" : allowed, id->service);
    else if (cli_agent_verdict(&chain->agent, "consul-tls-no-such-service", id, &err)
             == CONSUL_VERDICT_YES)
        ok = cli_ok(chain, CLI_LINK_INTENTIONS,
                    "services without an intention may connect to \"%s\"; --from asks for one",
                    id->service);
    else
        ok = cli_broken(chain, CLI_LINK_INTENTIONS,
                        "allow a client: consul intention create -allow CLIENT SERVICE",
                        "no service may connect to \"%s\": deny is the default, and no intention "
                        "allows one: %s",
                        id->service, err.text);
    OPENSSL_free(allowed);
    return ok;
}

bool cli_check_intentions(cli_chain *chain)
{
    const char *from = cli_chain_option(chain, "from");
    const consul_spiffe_id *id = consul_leaf_id(chain->leaf);
    consul_error err = {0};
    char cure[1024];

    if (from == NULL)
        return check_any(chain);
    snprintf(cure, sizeof(cure), "consul intention create -replace -allow %.200s %.200s", from,
             id->service);
    if (cli_agent_verdict(&chain->agent, from, id, &err) != CONSUL_VERDICT_YES)
        return cli_broken(chain, CLI_LINK_INTENTIONS, cure, "%s", err.text);
    return cli_ok(chain, CLI_LINK_INTENTIONS, "\"%s\" may connect to \"%s\"", from, id->service);
}
