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

static enum consul_verdict verdict_of_failure(const consul_answer *answer, const consul_error *err)
{
    if (answer->lost)
        return CONSUL_VERDICT_LOST;
    if (err->reason == CONSUL_R_AGENT_ANSWER_INVALID
        || (err->reason == CONSUL_R_AGENT_REFUSED && answer->status != 429 && answer->status < 500))
        return CONSUL_VERDICT_NONE;
    return CONSUL_VERDICT_UNASKED;
}

enum consul_verdict consul_agent_authorize(const consul_agent *agent,
                                           const consul_settings *settings, consul_watch *watch,
                                           const consul_spiffe_id *target, const X509 *peer,
                                           const consul_spiffe_id *peer_id,
                                           consul_deadline deadline, consul_error *err)
{
    consul_request request = {.path = CONSUL_AUTHORIZE_PATH, .deadline = deadline};
    enum consul_verdict verdict = CONSUL_VERDICT_UNASKED;
    consul_answer answer = {0};
    consul_error why = {0};
    char *body = encode_question(settings, target, peer, peer_id, &why);
    char reason[512] = "";
    bool authorized = false;

    request.body = body;
    if (body == NULL)
        goto done;
    if (!consul_agent_request(agent, &request, &answer, &why)) {
        if (watch != NULL)
            consul_watch_note_failure(watch, &request, &answer, &why);
        verdict = verdict_of_failure(&answer, &why);
        goto done;
    }
    if (!consul_decision_decode(answer.body, answer.len, &authorized, reason, sizeof(reason),
                                &why)) {
        consul_error_prefix(&why, "%s: ", answer.source);
        verdict = CONSUL_VERDICT_NONE;
        goto done;
    }
    verdict = authorized ? CONSUL_VERDICT_YES : CONSUL_VERDICT_NO;
    if (!authorized)
        consul_error_set(&why, CONSUL_R_PEER_DENIED, "\"%s\" may not connect to \"%s\": %s",
                         peer_id->uri, target->service, reason);

done:
    if (verdict != CONSUL_VERDICT_YES)
        consul_error_set(err, why.reason, "%s", why.text);
    consul_answer_free(&answer);
    free(body);
    return verdict;
}
