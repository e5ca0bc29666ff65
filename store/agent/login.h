/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests with the token of a login. The settings login_method and login_bearer_file name an auth method of Consul and
 * a file with a JWT. The first request of a process and its children makes a login for all of them. Another
 * login follows before the token ends, and after an answer that Consul does not know it.
 *
 * Any thread; the calling thread waits. A child of a fork has the token of its parent, and may make the next login.
 * https://developer.hashicorp.com/consul/api-docs/acl#login-to-auth-method
 */
#ifndef CONSUL_AGENT_LOGIN_H
#define CONSUL_AGENT_LOGIN_H

#include "agent/request.h"

/*
 * Make a request as consul_agent_request does, and a login before it where the token is missing or ends. Where a login
 * fails, the agent is lost only if it gave no answer. Return 0 with an error without an answer. The caller frees
 * the answer with consul_answer_free in every case.
 */
int consul_agent_ask(const consul_agent *agent, const consul_request *request,
                     consul_answer *answer, consul_error *err);

/*
 * End the token in Consul, where this process has made its login. The caller knows that no child uses it. A failure
 * leaves the token until its end. The call lasts for authorize_timeout at most, and a second at most.
 */
void consul_agent_log_out(const consul_agent *agent);

#endif
