/* Authorize questions, https://developer.hashicorp.com/consul/api-docs/agent/connect#authorize */
#ifndef CONSUL_AGENT_AUTHORIZE_H
#define CONSUL_AGENT_AUTHORIZE_H

#include "agent/request.h"
#include "identity/spiffe.h"

#define CONSUL_AUTHORIZE_PATH "/v1/agent/connect/authorize"

enum consul_verdict {
    CONSUL_VERDICT_NONE,    /* the agent has answered, and neither yes nor no */
    CONSUL_VERDICT_UNASKED, /* it was not asked, for want of something, or there are too many */
    CONSUL_VERDICT_LOST, /* it can not be asked by anybody just now: consul_exchange_found_loss */
    CONSUL_VERDICT_NO,
    CONSUL_VERDICT_YES
};

/* Return the body of the question, to be freed with free(); NULL without memory. */
char *consul_authorize_encode(const consul_settings *settings, const consul_spiffe_id *target,
                              const X509 *peer, const consul_spiffe_id *peer_id, consul_error *err);

/*
 * Ask the agent, with that body in `request`, and return its verdict. For anything but a yes, `err`
 * says why. Free the answer with consul_answer_free in any case.
 */
enum consul_verdict consul_authorize_ask(const consul_agent *agent, const consul_request *request,
                                         const consul_spiffe_id *target,
                                         const consul_spiffe_id *peer_id, consul_answer *answer,
                                         consul_error *err);

#endif
