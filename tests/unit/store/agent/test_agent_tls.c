/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's own certificate, in a program that has made OpenSSL lax for all its contexts. */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "agent/curl_tls.h"
#include "agent/exchange.h"
#include "agent_fixture.h"
#include "mint.h"

#define NAME "agent.test"
#define ID "spiffe://11111111-2222-3333-4444-555555555555.consul"

static minted ca, foreign_ca, weak_ca, narrow_ca;

/* An agent that speaks HTTPS: one answer for each connection. */
typedef struct https_agent {
    SSL_CTX *ctx;
    int listener, connections;
    bool has_resumed; /* a session */
    pthread_t thread;
    char address[64];
} https_agent;

static void answer_once(https_agent *agent)
{
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    int fd = accept(agent->listener, NULL, NULL);
    SSL *ssl = SSL_new(agent->ctx);
    char request[4096];

    if (fd >= 0 && ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1
        && SSL_read(ssl, request, sizeof(request)) > 0)
        SSL_write(ssl, answer, sizeof(answer) - 1);
    agent->has_resumed |= ssl != NULL && SSL_session_reused(ssl) == 1;
    SSL_free(ssl);
    close(fd);
}

static void *answer(void *arg)
{
    https_agent *agent = arg;
    int i;

    for (i = 0; i < agent->connections; i++)
        answer_once(agent);
    return NULL;
}

static void start(https_agent *agent, const minted *own, const minted *issuer, int connections)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    agent->connections = connections;
    agent->has_resumed = false;
    agent->ctx = SSL_CTX_new(TLS_server_method());
    assert_non_null(agent->ctx);
    assert_int_equal(SSL_CTX_use_certificate(agent->ctx, own->cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(agent->ctx, own->key), 1);
    assert_int_equal(SSL_CTX_add1_chain_cert(agent->ctx, issuer->cert), 1);
    agent->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(agent->listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(agent->listener, 1), 0);
    assert_int_equal(getsockname(agent->listener, (struct sockaddr *)&at, &len), 0);
    snprintf(agent->address, sizeof(agent->address), "https://127.0.0.1:%d", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&agent->thread, NULL, answer, agent), 0);
}

static void end(https_agent *agent)
{
    pthread_join(agent->thread, NULL);
    close(agent->listener);
    SSL_CTX_free(agent->ctx);
}

static void write_ca(const char *file, const minted *one)
{
    char *pem = mint_cert_pem(one->cert);
    FILE *out = fopen(file, "w");

    assert_non_null(out);
    assert_true(fputs(pem, out) >= 0);
    assert_int_equal(fclose(out), 0);
    free(pem);
}

/* Return settings for an agent of that name, by the CA in this file. */
static consul_settings settings_with(char *ca_file)
{
    static char name[] = NAME;

    return (consul_settings){.tls_verify = true,
                             .ca_file = ca_file,
                             .tls_server_name = name,
                             .connect_timeout = 5000,
                             .request_timeout = 5000};
}

/* Ask an agent with this certificate. Return 1 for an answer. */
static int ask(const minted *own, const minted *issuer, consul_error *err)
{
    const consul_request request = {.path = PATH, .deadline = CONSUL_NO_DEADLINE};
    char file[] = "/tmp/consul-test-ca-XXXXXX";
    consul_settings settings = settings_with(file);
    int fd = mkstemp(file), ok;
    consul_answer answer;
    consul_agent *client;
    https_agent agent;

    assert_true(fd >= 0);
    close(fd);
    write_ca(file, &ca);
    start(&agent, own, issuer, 1);
    settings.address = agent.address;
    client = agent_make(&settings);
    ok = consul_agent_request(client, &request, &answer, err);
    consul_answer_free(&answer);
    consul_agent_free(client);
    end(&agent);
    unlink(file);
    return ok;
}

#define AT_NAME              \
    {                        \
        {                    \
            GEN_DNS, NAME, 0 \
        }                    \
    }

static const struct {
    const char *name;
    const minted *issuer;
    mint_order order;
    bool is_right;
    const char *says; /* a part of the error */
} rows[] = {
    {"a good one", &ca, {.names = AT_NAME}, true, NULL},
    {"of the usage of a server",
     &ca,
     {.names = AT_NAME, .ext_key_usage = "serverAuth"},
     true,
     NULL},
    {"of no usage", &ca, {.names = AT_NAME, .ext_key_usage = ""}, true, NULL},
    {"expired",
     &ca,
     {.names = AT_NAME, .not_before = -MINT_DAY, .not_after = -1},
     false,
     "expired"},
    {"not yet valid",
     &ca,
     {.names = AT_NAME, .not_before = 1000, .not_after = MINT_DAY},
     false,
     "not yet valid"},
    {"with an unknown critical extension",
     &ca,
     {.names = AT_NAME, .extensions = {"1.2.3.4=critical,ASN1:NULL"}},
     false,
     "critical extension"},
    {"of another CA", &foreign_ca, {.names = AT_NAME}, false, "issuer"},
    {"of a CA that has ended", &weak_ca, {.names = AT_NAME}, false, "expired"},
    {"of the usage of a client",
     &ca,
     {.names = AT_NAME, .ext_key_usage = "clientAuth"},
     false,
     "purpose"},
    {"of another use of its key",
     &ca,
     {.names = AT_NAME, .key_usage = "cRLSign"},
     false,
     "purpose"},
    {"of a CA for another usage", &narrow_ca, {.names = AT_NAME}, false, "purpose"},
    {"of an agent, by auto_encrypt",
     &ca,
     {.names = {{GEN_DNS, NAME, 0}, {GEN_URI, ID "/agent/client/dc/dc1/id/1", 0}}},
     true,
     NULL},
    {"of an agent in a partition",
     &ca,
     {.names = {{GEN_DNS, NAME, 0}, {GEN_URI, ID "/ap/p/agent/client/dc/dc1/id/1", 0}}},
     true,
     NULL},
    {"of a service",
     &ca,
     {.names = {{GEN_DNS, NAME, 0}, {GEN_URI, ID "/ns/default/dc/dc1/svc/evil", 0}}},
     false,
     "leaf of the mesh"},
    {"of a service in a partition",
     &ca,
     {.names = {{GEN_DNS, NAME, 0}, {GEN_URI, ID "/ap/agent/ns/default/dc/dc1/svc/evil", 0}}},
     false,
     "leaf of the mesh"},
    {"of a gateway",
     &ca,
     {.names = {{GEN_DNS, NAME, 0}, {GEN_URI, ID "/gateway/mesh/dc/dc1", 0}}},
     false,
     "leaf of the mesh"},
    {"without a trust domain",
     &ca,
     {.names = {{GEN_DNS, NAME, 0}, {GEN_URI, "spiffe:/x/agent/client/dc/dc1/id/1", 0}}},
     false,
     "leaf of the mesh"},
    {"of an agent and of a service",
     &ca,
     {.names = {{GEN_DNS, NAME, 0},
                {GEN_URI, ID "/agent/client/dc/dc1/id/1", 0},
                {GEN_URI, "SPIFFE://evil", 0}}},
     false,
     "leaf of the mesh"},
    {"of another name", &ca, {.names = {{GEN_DNS, "web.test", 0}}}, false, "agent.test"},
};

static void test_certificates(void **state)
{
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        minted own = mint(rows[i].issuer, rows[i].order);
        consul_error err = {0};
        int ok = ask(&own, rows[i].issuer, &err);

        if (ok != rows[i].is_right)
            fail_msg("%s: got %d, %s", rows[i].name, ok, err.text);
        if (!ok)
            assert_error(&err, CONSUL_R_AGENT_UNREACHABLE, rows[i].says);
        minted_free(&own);
    }
}

/* Run a request on this handle, as a watch does. Return 1 for an answer. */
static int ask_on(CURLM *multi, const consul_agent *client)
{
    const consul_request request = {.path = PATH, .deadline = CONSUL_NO_DEADLINE};
    consul_exchange exchange;
    consul_answer answer;
    consul_error err = {0};
    const CURLMsg *message;
    int running = 1, left, ok;

    assert_true(consul_exchange_prepare(&exchange, client, &request, &err));
    assert_int_equal(curl_multi_add_handle(multi, exchange.curl), CURLM_OK);
    while (curl_multi_perform(multi, &running) == CURLM_OK && running > 0
           && curl_multi_poll(multi, NULL, 0, 1000, NULL) == CURLM_OK)
        ;
    message = curl_multi_info_read(multi, &left);
    assert_non_null(message);
    ok = consul_exchange_finish(&exchange, message->data.result, &answer, &err);
    curl_multi_remove_handle(multi, exchange.curl);
    consul_answer_free(&answer);
    consul_exchange_clear(&exchange);
    return ok;
}

/* A CA that is taken out of its file counts no more, for a watch that goes on, too. */
static void test_a_file_that_is_replaced(void **state)
{
    char file[] = "/tmp/consul-test-ca-XXXXXX";
    consul_settings settings = settings_with(file);
    minted own = mint(&ca, (mint_order){.names = {{GEN_DNS, NAME, 0}}});
    int fd = mkstemp(file), i;
    CURLM *multi = NULL;

    assert_true(fd >= 0);
    close(fd);
    for (i = 0; i < 2; i++) {
        consul_agent *client;
        https_agent agent;

        write_ca(file, i == 0 ? &ca : &foreign_ca);
        start(&agent, &own, &ca, 1);
        settings.address = agent.address;
        client = agent_make(&settings);
        if (multi == NULL)
            multi = curl_multi_init();
        assert_non_null(multi);
        assert_int_equal(ask_on(multi, client), i == 0);
        consul_agent_free(client);
        end(&agent);
    }
    curl_multi_cleanup(multi);
    unlink(file);
    minted_free(&own);
}

/*
 * An agent whose CA is taken out of the file is believed no more by a session either. A multi handle
 * keeps sessions, from libcurl 8.12 on. A resumed session has no certificate to verify.
 */
static void test_a_session_of_before(void **state)
{
    char file[] = "/tmp/consul-test-ca-XXXXXX";
    consul_settings settings = settings_with(file);
    minted own = mint(&ca, (mint_order){.names = {{GEN_DNS, NAME, 0}}});
    int fd = mkstemp(file), i;
    CURLM *multi = NULL;
    consul_agent *client;
    https_agent agent;

    assert_true(fd >= 0);
    close(fd);
    start(&agent, &own, &ca, 2);
    settings.address = agent.address;
    client = agent_make(&settings);
    for (i = 0; i < 2; i++) {
        write_ca(file, i == 0 ? &ca : &foreign_ca);
        if (multi == NULL)
            multi = curl_multi_init();
        assert_non_null(multi);
        assert_int_equal(ask_on(multi, client), i == 0);
    }
    consul_agent_free(client);
    end(&agent);
    assert_false(agent.has_resumed);
    curl_multi_cleanup(multi);
    unlink(file);
    minted_free(&own);
}

static X509_VERIFY_PARAM *make_lax(const char *name)
{
    X509_VERIFY_PARAM *lax = X509_VERIFY_PARAM_new();

    assert_non_null(lax);
    assert_int_equal(X509_VERIFY_PARAM_set1_name(lax, name), 1);
    X509_VERIFY_PARAM_set_flags(lax, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_IGNORE_CRITICAL
                                         | X509_V_FLAG_ALLOW_PROXY_CERTS);
    assert_int_equal(X509_VERIFY_PARAM_set_purpose(lax, X509_PURPOSE_ANY), 1);
    X509_VERIFY_PARAM_set_depth(lax, 100);
    assert_int_equal(X509_VERIFY_PARAM_add0_table(lax), 1);
    return lax;
}

/* A program may replace OpenSSL's parameters by lax ones, under the names that libssl uses, too. */
static void test_certificates_amid_lax_defaults(void **state)
{
    X509_VERIFY_PARAM *of_all = make_lax("default"), *of_servers = make_lax("ssl_server");

    test_certificates(state);
    X509_VERIFY_PARAM_set1_name(of_all, NULL); /* OpenSSL does not free it */
    X509_VERIFY_PARAM_set1_name(of_servers, NULL);
    X509_VERIFY_PARAM_table_cleanup();
}

static int accept_any(const X509_PURPOSE *purpose, const X509 *cert, int is_ca)
{
    return 1;
}

/* A program may replace OpenSSL's purposes, too. */
static void test_certificates_amid_lax_purposes(void **state)
{
    char name[] = "any", short_name[] = "sslserver";

    assert_int_equal(X509_PURPOSE_add(X509_PURPOSE_SSL_SERVER, X509_TRUST_SSL_SERVER, 0, accept_any,
                                      name, short_name, NULL),
                     1);
    test_certificates(state);
    X509_PURPOSE_cleanup();
}

#define SKIPPED 77 /* to meson */

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN); /* the agent writes to clients that have refused it */
    ca = mint(NULL, (mint_order){.subject = "CA of agents", .ca = true});
    foreign_ca = mint(NULL, (mint_order){.subject = "CA of agents", .ca = true});
    weak_ca = mint(
        &ca,
        (mint_order){.subject = "ended", .ca = true, .not_before = -MINT_DAY, .not_after = -1});
    narrow_ca = mint(
        &ca, (mint_order){.subject = "narrow", .ca = true, .ext_key_usage = "emailProtection"});
    return 0;
}

static int tear_down(void **state)
{
    minted_free(&ca);
    minted_free(&foreign_ca);
    minted_free(&weak_ca);
    minted_free(&narrow_ca);
    return 0;
}

/* Ask an agent that is not there, with a FIFO as one of the files. The request is refused, and does not wait. */
static void refuse_fifo(consul_settings settings, const char *text)
{
    const consul_request request = {.path = PATH, .deadline = CONSUL_NO_DEADLINE};
    consul_error err = {0};
    consul_answer answer;
    consul_agent *agent;

    settings.address = (char[]){"https://127.0.0.1:1"};
    settings.tls_verify = true;
    settings.connect_timeout = settings.request_timeout = 5000;
    agent = agent_make(&settings);
    alarm(10); /* libcurl would wait without end */
    assert_int_equal(consul_agent_request(agent, &request, &answer, &err), 0);
    alarm(0);
    assert_error(&err, CONSUL_R_SETTING_INVALID, text);
    assert_contains(err.text, "it is no regular file");
    assert_false(answer.lost);
    consul_agent_free(agent);
}

/* No other process can hold a request up by the kind of a file. */
static void test_irregular_files(void **state)
{
    char path[] = "/tmp/consul-test-XXXXXX";

    assert_true(mkstemp(path) >= 0);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse_fifo((consul_settings){.ca_file = path}, ": ca_file \"/tmp/");
    refuse_fifo((consul_settings){.client_cert = path, .client_key = (char[]){"/dev/null"}},
                ": client_cert \"/tmp/");
    refuse_fifo((consul_settings){.client_key = path}, ": client_key \"/tmp/");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_a_file_that_is_replaced),
        cmocka_unit_test(test_a_session_of_before),
        cmocka_unit_test(test_irregular_files),
        cmocka_unit_test(test_certificates_amid_lax_defaults),
        cmocka_unit_test(test_certificates_amid_lax_purposes),
    };

    if (!consul_curl_tls_is_ours()) /* skipped within a test, an agent would go on without its memory */
        return SKIPPED;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
