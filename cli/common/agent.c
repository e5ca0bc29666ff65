/* SPDX-License-Identifier: Apache-2.0 */
#include "common/agent.h"

#include "agent/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

int cli_agent_use(cli_agent *agent, consul_settings *settings, consul_error *err)
{
    if ((agent->store = consul_store_new(settings, NULL, err)) == NULL)
        return 0;
    settings = (consul_settings *)(uintptr_t)consul_store_settings(agent->store);
    OPENSSL_strlcpy(agent->scope.ns, settings->ns == NULL ? "" : settings->ns, CONSUL_NAME_MAX + 1);
    OPENSSL_strlcpy(agent->scope.partition, settings->partition == NULL ? "" : settings->partition,
                    CONSUL_NAME_MAX + 1);
    OPENSSL_strlcpy(agent->scope.dc, settings->datacenter == NULL ? "" : settings->datacenter,
                    CONSUL_NAME_MAX + 1);
    return (agent->agent = consul_agent_new(settings, err)) != NULL;
}

int cli_agent_open(cli_agent *agent, const cli_arguments *arguments, consul_error *err)
{
    const char *path = cli_option(arguments, "config");
    consul_settings *settings;

    memset(agent, 0, sizeof(*agent));
    if (!cli_conf_open(&agent->conf, path, cli_option(arguments, "application"), err))
        return 0;
    if (path != NULL && !agent->conf.is_read)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "OpenSSL cannot read the file %s: see consul-tls check", path);
    settings = cli_conf_settings(&agent->conf, err);
    return settings != NULL && cli_agent_use(agent, settings, err);
}

void cli_agent_close(cli_agent *agent)
{
    if (agent->agent != NULL)
        consul_agent_log_out(agent->agent);
    consul_agent_free(agent->agent);
    consul_store_unref(agent->store);
    cli_conf_close(&agent->conf);
    memset(agent, 0, sizeof(*agent));
}

int cli_agent_ask(const cli_agent *agent, const consul_request *request, consul_answer *answer,
                  consul_error *err)
{
    consul_request bounded = *request;

    memset(answer, 0, sizeof(*answer));
    bounded.deadline = CONSUL_NO_DEADLINE;
    if (bounded.scope == NULL)
        bounded.scope = &agent->scope;
    return consul_agent_ask(agent->agent, &bounded, answer, err);
}

/* Return the body of the question, to be freed with free(). It has no certificate, and no serial. */
static char *question(const char *uri, const consul_spiffe_id *target,
                      const consul_settings *settings)
{
    json_t *json = json_pack("{s:s, s:s, s:s}", "Target", target->service, "ClientCertURI", uri,
                             "ClientCertSerial", "00");
    char *body = NULL;

    if (json != NULL && settings->ns != NULL)
        json_object_set_new(json, "Namespace", json_string(target->scope.ns));
    if (json != NULL && settings->partition != NULL)
        json_object_set_new(json, "Partition", json_string(target->scope.partition));
    body = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return body;
}

enum consul_verdict cli_agent_verdict(const cli_agent *agent, const char *client,
                                      const consul_spiffe_id *target, consul_error *err)
{
    consul_request request = {.path = CONSUL_AUTHORIZE_PATH, .deadline = CONSUL_NO_DEADLINE};
    enum consul_verdict verdict = CONSUL_VERDICT_UNASKED;
    const char *end = strstr(target->uri, "/svc/");
    consul_answer answer = {0};
    consul_spiffe_id id;
    char uri[CONSUL_URI_MAX], *body;
    int len =
        snprintf(uri, sizeof(uri), "%.*s/svc/%s", (int)(end - target->uri), target->uri, client);

    if (len < 0 || (size_t)len >= sizeof(uri)
        || !consul_spiffe_id_parse(uri, (size_t)len, &id, err)) {
        consul_error_prefix(err, "\"%s\" is no name of a service: ", client);
        return CONSUL_VERDICT_UNASKED;
    }
    body = question(uri, target, consul_store_settings(agent->store));
    if (body == NULL) {
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "an authorize request");
        return CONSUL_VERDICT_UNASKED;
    }
    request.body = body;
    verdict = consul_authorize_ask(agent->agent, &request, target, &id, &answer, err);
    consul_answer_free(&answer);
    free(body);
    return verdict;
}

int cli_service(const cli_arguments *arguments, consul_service *service, consul_error *err)
{
    if (arguments->count != 1)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "the command takes the name of one service: see consul-tls(1)");
    return consul_service_parse(arguments->operands[0], service, err);
}
