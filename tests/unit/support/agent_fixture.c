/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_fixture.h"

#include "agent/curl_tls.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void agent_handle(const http_request *request, http_reply *reply, void *arg)
{
    agent_fixture *f = arg;

    f->seen = *request;
    *reply = f->reply;
}

int agent_set_up(void **state)
{
    agent_fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    strcpy(f->folder, "/tmp/consul-test-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    f->server = http_server_start(NULL, agent_handle, f);
    f->reply = (http_reply){.status = 200, .body = "{}"};
    snprintf(f->address, sizeof(f->address), "127.0.0.1:%d", http_server_port(f->server));
    f->settings = (consul_settings){.address = f->address,
                                    .tls_verify = true,
                                    .connect_timeout = 5000,
                                    .request_timeout = 30000};
    *state = f;
    return 0;
}

int agent_tear_down(void **state)
{
    agent_fixture *f = *state;

    http_server_stop(f->server);
    rmdir(f->folder);
    free(f);
    return 0;
}

consul_agent *agent_make(const consul_settings *settings)
{
    consul_error err = {0};
    consul_agent *agent = consul_agent_new(settings, &err);

    if (agent == NULL && !consul_curl_tls_is_ours()
        && strstr(err.text, "HTTPS to the agent") != NULL)
        skip();
    if (agent == NULL)
        fail_msg("%s", err.text);
    return agent;
}

int agent_ask(agent_fixture *f, const consul_request *request, consul_answer *answer,
              consul_error *err)
{
    consul_agent *agent = agent_make(&f->settings);
    int ok = consul_agent_request(agent, request, answer, err);

    assert_false(consul_in_request());
    consul_agent_free(agent);
    return ok;
}

int agent_ask_plainly(agent_fixture *f, consul_error *err)
{
    const consul_request request = {.path = PATH, .deadline = CONSUL_NO_DEADLINE};
    consul_answer answer;
    int ok = agent_ask(f, &request, &answer, err);

    consul_answer_free(&answer);
    return ok;
}
