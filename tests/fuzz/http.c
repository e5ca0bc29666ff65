/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP answer of an agent, for libcurl and the store's exchange. The agent's end of the socket says the whole input
 * at once. The first byte chooses the request. A usable answer has status 200 and a body.
 */
#include "fuzz.h"

#include "agent/exchange.h"
#include "base/settings.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 600000 /* on a busy machine, too, the answer comes before that */
#define ANSWER_MAX 60000   /* bytes; a socket takes them at once */

/* Return a listener with an address that no file has. */
static int listen_without_name(char name[64])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0);
    REQUIRE(listen(fd, 1) == 0 && getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    snprintf(name, 64, "%.*s", (int)(len - sizeof(sa_family_t) - 1), address.sun_path + 1);
    return fd;
}

/* Take the connection, and say everything at once. Return it, or -1 without one. */
static int answer_one(int listener, const fuzz_input *bytes)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd >= 0) {
        REQUIRE(send(fd, bytes->data, bytes->len, MSG_NOSIGNAL | MSG_DONTWAIT)
                == (ssize_t)bytes->len);
        REQUIRE(shutdown(fd, SHUT_WR) == 0);
    }
    return fd;
}

/* Run the exchange with an agent that takes one connection. Return libcurl's result. */
static CURLcode run(consul_exchange *x, const fuzz_input *bytes)
{
    static int listener = -1;
    static char name[64];
    CURLM *multi = curl_multi_init();
    CURLcode code = CURLE_OK;
    const CURLMsg *message;
    int running = 1, agent = -1, left;

    if (listener < 0)
        listener = listen_without_name(name);
    REQUIRE(curl_easy_setopt(x->curl, CURLOPT_ABSTRACT_UNIX_SOCKET, name) == CURLE_OK);
    REQUIRE(multi != NULL && curl_multi_add_handle(multi, x->curl) == CURLM_OK);
    while (curl_multi_perform(multi, &running) == CURLM_OK && running > 0) {
        if (agent < 0)
            agent = answer_one(listener, bytes);
        curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    message = curl_multi_info_read(multi, &left);
    if (message != NULL)
        code = message->data.result;
    curl_multi_remove_handle(multi, x->curl);
    curl_multi_cleanup(multi);
    if (agent >= 0)
        close(agent);
    return code;
}

static void require_answer(int ok, const consul_request *request, const consul_answer *answer,
                           const consul_error *err)
{
    fuzz_require_result(ok, err);
    REQUIRE(ok == (answer->body != NULL) || request->writes);
    REQUIRE(answer->date >= 0 && !answer->unanswered);
    if (!ok) {
        REQUIRE(answer->body == NULL && answer->len == 0 && answer->index == 0);
        REQUIRE(err->reason != CONSUL_R_INTERNAL && err->reason != CONSUL_R_OUT_OF_MEMORY);
        return;
    }
    REQUIRE(answer->status == 200 && !answer->lost);
    REQUIRE(answer->len > 0 || request->writes);
    REQUIRE(answer->len <= CONSUL_ANSWER_MAX);
    REQUIRE(answer->body == NULL || answer->body[answer->len] == '\0');
}

static const consul_agent *the_agent(void)
{
    static consul_settings *settings;
    static consul_agent *agent;

    if (agent == NULL) {
        settings = consul_settings_new(NULL, NULL, NULL);
        REQUIRE(settings != NULL);
        settings->connect_timeout = settings->request_timeout = PATIENCE_MS;
        agent = consul_agent_new(settings, NULL);
        REQUIRE(agent != NULL);
    }
    return agent;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    unsigned kind = fuzz_byte(&input) & 3;
    consul_request request = {
        .path = "/v1/agent/connect/ca/roots",
        .body = kind == 1 ? "{}" : NULL,
        .writes = kind == 2,
        .index = kind == 3 ? 7 : 0,
        .deadline = CONSUL_NO_DEADLINE,
    };
    consul_answer answer = {0};
    consul_error err = {0};
    consul_exchange x;
    int ok;

    if (input.len > ANSWER_MAX)
        return 0;
    REQUIRE(consul_exchange_prepare(&x, the_agent(), &request, &err));
    ok = consul_exchange_finish(&x, run(&x, &input), &answer, &err);
    require_answer(ok, &request, &answer, &err);
    consul_answer_free(&answer);
    consul_exchange_clear(&x);
    return 0;
}
