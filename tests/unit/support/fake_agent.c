/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* Keep a copy of a body and return it, as the test may change its own. With the lock held. */
static const char *keep(fake_agent *agent, const char *body)
{
    free(agent->sent);
    agent->sent = body == NULL ? NULL : strdup(body);
    return agent->sent;
}

static bool allows(const fake_agent *agent, const char *question)
{
    const char *const *text;

    for (text = agent->denied; text != NULL && *text != NULL; text++) {
        if (strstr(question, *text) != NULL)
            return false;
    }
    return agent->allow;
}

#define LEAF "/v1/agent/connect/ca/leaf/"

/* Return the leaf of the service that a target asks for. */
static const char *leaf_of(const fake_agent *agent, const char *target)
{
    const char *name = target + strlen(LEAF);
    size_t len = strcspn(name, "?");

    return agent->other_service != NULL && len == strlen(agent->other_service)
                   && strncmp(name, agent->other_service, len) == 0
               ? agent->other_leaf
               : agent->leaf;
}

static void handle(const http_request *request, http_reply *reply, void *arg)
{
    fake_agent *agent = arg;

    pthread_mutex_lock(&agent->lock);
    if (strncmp(request->target, "/v1/agent/connect/ca/roots", 26) == 0) {
        *reply = agent->roots_reply;
        if (reply->body == NULL)
            reply->body = keep(agent, agent->roots);
    } else if (strcmp(request->target, "/v1/agent/connect/authorize") == 0) {
        agent->questions++;
        snprintf(agent->last_question, sizeof(agent->last_question), "%.2047s", request->body);
        *reply = agent->decision_reply;
        if (reply->body == NULL)
            reply->body = allows(agent, request->body)
                              ? "{\"Authorized\": true, \"Reason\": \"allowed\"}"
                              : "{\"Authorized\": false, \"Reason\": \"denied\"}";
    } else if (agent->leaf != NULL && strncmp(request->target, LEAF, strlen(LEAF)) == 0) {
        snprintf(agent->last_leaf, sizeof(agent->last_leaf), "%.255s", request->target);
        reply->body = keep(agent, leaf_of(agent, request->target));
    } else {
        reply->status = 404;
    }
    pthread_mutex_unlock(&agent->lock);
}

void fake_agent_start(fake_agent *agent)
{
    memset(agent, 0, sizeof(*agent));
    pthread_mutex_init(&agent->lock, NULL);
    agent->server = http_server_start(NULL, handle, agent);
    agent->roots_reply.status = agent->decision_reply.status = 200;
    snprintf(agent->address, sizeof(agent->address), "127.0.0.1:%d",
             http_server_port(agent->server));
}

void fake_agent_stop(fake_agent *agent)
{
    http_server_stop(agent->server);
    free(agent->roots);
    free(agent->leaf);
    free(agent->other_leaf);
    free(agent->sent);
    pthread_mutex_destroy(&agent->lock);
}

static void append_root(json_t *list, const minted *root)
{
    char *pem = mint_cert_pem(root->cert);

    json_array_append_new(list, json_pack("{s:s}", "RootCert", pem));
    free(pem);
}

void fake_agent_reset(fake_agent *agent, const char *trust_domain, const minted *first,
                      const minted *second)
{
    json_t *list = json_array(), *json;

    append_root(list, first);
    if (second != NULL)
        append_root(list, second);
    json = json_pack("{s:s, s:o}", "TrustDomain", trust_domain, "Roots", list);
    pthread_mutex_lock(&agent->lock);
    free(agent->roots);
    agent->roots = json_dumps(json, 0);
    json_decref(json);
    if (agent->roots == NULL)
        abort();
    agent->roots_reply = agent->decision_reply = (http_reply){.status = 200};
    agent->allow = true;
    agent->questions = 0;
    agent->last_question[0] = '\0';
    agent->last_leaf[0] = '\0';
    pthread_mutex_unlock(&agent->lock);
}

/* Return the agent's answer for a leaf. Free it. */
static char *body_of(const minted *leaf)
{
    char *cert = mint_cert_pem(leaf->cert), *key = mint_key_pem(leaf->key), *body;
    json_t *json = json_pack("{s:s, s:s}", "CertPEM", cert, "PrivateKeyPEM", key);

    body = json_dumps(json, 0);
    json_decref(json);
    free(cert);
    free(key);
    if (body == NULL)
        abort();
    return body;
}

void fake_agent_set_leaf(fake_agent *agent, const minted *leaf)
{
    char *body = body_of(leaf);

    fake_agent_take_leaf(agent);
    pthread_mutex_lock(&agent->lock);
    agent->leaf = body;
    pthread_mutex_unlock(&agent->lock);
}

void fake_agent_set_leaf_of(fake_agent *agent, const char *service, const minted *leaf)
{
    char *body = body_of(leaf);

    pthread_mutex_lock(&agent->lock);
    free(agent->other_leaf);
    agent->other_leaf = body;
    agent->other_service = service;
    pthread_mutex_unlock(&agent->lock);
}

void fake_agent_take_leaf(fake_agent *agent)
{
    pthread_mutex_lock(&agent->lock);
    free(agent->leaf);
    agent->leaf = NULL;
    pthread_mutex_unlock(&agent->lock);
}
