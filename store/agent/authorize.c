/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/authorize.h"

#include "agent/decode.h"
#include "agent/login.h"
#include "identity/cert.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

/*
 * Add a namespace or a partition. Consul Enterprise takes the token's where it is missing. Other
 * editions refuse a request that has one. Return 0, or -1 without memory.
 */
static int set_scope(json_t *json, const char *name, const char *value, bool is_explicit)
{
    if (*value == '\0' || (strcmp(value, "default") == 0 && !is_explicit))
        return 0;
    return json_object_set_new(json, name, json_string(value));
}

char *consul_authorize_encode(const consul_settings *settings, const consul_spiffe_id *target,
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

static enum consul_verdict verdict_of_failure(const consul_answer *answer, const consul_error *err)
{
    if (answer->lost)
        return CONSUL_VERDICT_LOST;
    if (err->reason == CONSUL_R_AGENT_ANSWER_INVALID
        || (err->reason == CONSUL_R_AGENT_REFUSED && answer->status != 429 && answer->status < 500))
        return CONSUL_VERDICT_NONE;
    return CONSUL_VERDICT_UNASKED;
}

enum consul_verdict consul_authorize_ask(const consul_agent *agent, const consul_request *request,
                                         const consul_spiffe_id *target,
                                         const consul_spiffe_id *peer_id, consul_answer *answer,
                                         consul_error *err)
{
    consul_error why = {0};
    char reason[512] = "";
    bool authorized = false;

    if (!consul_agent_ask(agent, request, answer, &why)) {
        consul_error_copy(err, &why);
        return verdict_of_failure(answer, &why);
    }
    if (!consul_verdict_decode(answer->body, answer->len, &authorized, reason, sizeof(reason),
                               &why)) {
        consul_error_set(err, why.reason, "%s: %s", answer->source, why.text);
        return CONSUL_VERDICT_NONE;
    }
    if (authorized)
        return CONSUL_VERDICT_YES;
    consul_error_set(err, CONSUL_R_PEER_DENIED, "\"%s\" may not connect to \"%s\": %s",
                     peer_id->uri, target->service, reason);
    return CONSUL_VERDICT_NO;
}
