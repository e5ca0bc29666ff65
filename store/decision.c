/* Authorize decisions, https://developer.hashicorp.com/consul/api-docs/agent/connect#authorize */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

/* Consul Enterprise has these, and takes the token's where they are missing; others refuse them. */
static int set_scope(json_t *json, const char *name, const char *value, bool is_explicit)
{
    if (*value == '\0' || (strcmp(value, "default") == 0 && !is_explicit))
        return 0;
    return json_object_set_new(json, name, json_string(value));
}

static char *encode_question(const consul_settings *settings, const consul_spiffe_id *target,
                             const X509 *peer, const consul_spiffe_id *peer_id, consul_error *err)
{
    char *serial = consul_cert_serial(peer, err), *body = NULL;
    json_t *json = serial == NULL
                       ? NULL
                       : json_pack("{s:s, s:s, s:s}", "Target", target->service, "ClientCertURI",
                                   peer_id->uri, "ClientCertSerial", serial);

    if (json != NULL && set_scope(json, "Namespace", target->scope.ns, settings->ns != NULL) == 0
        && set_scope(json, "Partition", target->scope.partition,
                     settings->partition != NULL || strstr(target->uri, "/ap/") != NULL)
               == 0)
        body = json_dumps(json, JSON_COMPACT);
    if (body == NULL)
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "an authorize request");
    json_decref(json);
    OPENSSL_free(serial);
    return body;
}

int consul_agent_authorize(const consul_agent *agent, const consul_settings *settings,
                           const consul_spiffe_id *target, const X509 *peer,
                           const consul_spiffe_id *peer_id, consul_deadline deadline,
                           consul_error *err)
{
    consul_request request = {.path = "/v1/agent/connect/authorize", .deadline = deadline};
    consul_answer answer = {0};
    char *body = encode_question(settings, target, peer, peer_id, err);
    char reason[512] = "";
    bool authorized = false;
    int ok = 0;

    request.body = body;
    if (body == NULL || !consul_agent_request(agent, &request, &answer, err))
        goto done;
    if (!consul_decision_decode(answer.body, answer.len, &authorized, reason, sizeof(reason),
                                err)) {
        consul_error_prefix(err, "%s: ", answer.source);
        goto done;
    }
    if (!authorized) {
        consul_error_set(err, CONSUL_R_PEER_DENIED, "\"%s\" may not connect to \"%s\": %s",
                         peer_id->uri, target->service, reason);
        goto done;
    }
    ok = 1;

done:
    consul_answer_free(&answer);
    free(body);
    return ok;
}
