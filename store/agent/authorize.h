/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the agent: whether a peer may connect to a target. Any thread; the calling thread
 * waits. https://developer.hashicorp.com/consul/api-docs/agent/connect#authorize
 */
#ifndef CONSUL_AGENT_AUTHORIZE_H
#define CONSUL_AGENT_AUTHORIZE_H

#include "agent/request.h"
#include "identity/spiffe.h"

#define CONSUL_AUTHORIZE_PATH "/v1/agent/connect/authorize"

enum consul_verdict {
    CONSUL_VERDICT_NONE,    /* an answer, but neither yes nor no */
    CONSUL_VERDICT_UNASKED, /* no verdict, for lack of resources or for a limit */
    CONSUL_VERDICT_LOST,    /* no verdict from a lost agent: consul_exchange_found_loss */
    CONSUL_VERDICT_NO,
    CONSUL_VERDICT_YES
};

/* Return the JSON body of a question, for free(). Return NULL without memory. */
char *consul_authorize_encode(const consul_settings *settings, const consul_spiffe_id *target,
                              const X509 *peer, const consul_spiffe_id *peer_id, consul_error *err);

/*
 * Ask the agent with that body in `request`, and return its verdict. For all but a yes, `err` has
 * the reason. The caller frees the answer with consul_answer_free in every case.
 */
enum consul_verdict consul_authorize_ask(const consul_agent *agent, const consul_request *request,
                                         const consul_spiffe_id *target,
                                         const consul_spiffe_id *peer_id, consul_answer *answer,
                                         consul_error *err);

#endif
