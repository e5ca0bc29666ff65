/* SPDX-License-Identifier: Apache-2.0 */
#include "check/agent.h"

#include "agent/decode.h"
#include "common/certificate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROOTS_PATH "/v1/agent/connect/ca/roots"
#define CLOCK_APART_MAX 60 /* seconds; Consul dates a leaf back by as much */

bool cli_check_settings(cli_chain *chain)
{
    const char *named = cli_chain_option(chain, "service");
    consul_error err = {0};
    consul_settings *settings = cli_conf_settings(&chain->agent.conf, &err);

    if (settings == NULL || !cli_agent_use(&chain->agent, settings, &err))
        return cli_broken(chain, CLI_LINK_SETTINGS,
                          "mend that setting; consul-provider(5) has each name and value", "%s",
                          err.text);
    settings = (consul_settings *)(uintptr_t)consul_store_settings(chain->agent.store);
    if (named == NULL)
        named = settings->service;
    if (named != NULL && !consul_service_parse(named, &chain->service, &err))
        return cli_broken(chain, CLI_LINK_SETTINGS, "name a service", "%s", err.text);
    return cli_ok(chain, CLI_LINK_SETTINGS, "service = %s, outbound = %s, log = %s",
                  settings->service == NULL ? "(none, for stand-ins)" : settings->service,
                  settings->outbound == CONSUL_DEMAND_REQUIRE ? "require"
                  : settings->outbound == CONSUL_DEMAND_AUTO  ? "auto"
                                                              : "off",
                  settings->log);
}

/* Words in an error text, and the cure of that error. The first row that matches counts. */
typedef struct known_error {
    const char *words, *says, *cure;
} known_error;

static const known_error known_errors[] = {
    {"Client sent an HTTP request to an HTTPS server", "the agent speaks HTTPS at this port",
     "write https:// into address, and name the agent's CA: ca_file"},
    {"Connect must be enabled", "Connect is off in the agent",
     "set connect { enabled = true } on the servers of Consul, and restart them"},
    {"Endpoint is blocked", "the agent blocks this request",
     "take the request out of http_config.block_endpoints of the agent"},
    {"No cluster leader", "Consul has no leader", "mend the servers of Consul"},
    {"CA is uninitialized", "Consul has no CA yet", "wait, or mend the servers of Consul"},
    {"no CA bootstrapped", "Consul has no CA yet", "wait, or mend the servers of Consul"},
    {"is not yet valid", "the agent's certificate is not yet valid here",
     "check this host's clock, and the dates of the agent's certificate"},
    {"has expired", "the agent's certificate has expired",
     "check this host's clock, and give the agent a new certificate"},
    {"no alternative certificate subject name", "the agent's certificate has another name",
     "write a name of its certificate into tls_server_name"},
    {"does not match target host name", "the agent's certificate has another name",
     "write a name of its certificate into tls_server_name"},
    {"unable to get local issuer", "the agent's certificate is of an unknown CA",
     "name the file of that CA: ca_file"},
    {"self-signed certificate", "the agent's certificate is of an unknown CA",
     "name the file of that CA: ca_file"},
    {"self signed certificate", "the agent's certificate is of an unknown CA",
     "name the file of that CA: ca_file"},
    {"unable to get issuer", "the agent's certificate is of an unknown CA",
     "name the file of that CA: ca_file"},
    {"error setting certificate", "the file of CAs is missing or is no PEM file",
     "mend the path in ca_file, or the file"},
    {"error adding trust anchors", "the file of CAs is missing or is no PEM file",
     "mend the path in ca_file, or the file"},
    {"could not load PEM client certificate", "the file of client_cert cannot be read",
     "mend the path in client_cert, or the file"},
    {"unable to set private key file", "the file of client_key cannot be read",
     "mend the path in client_key, or the file"},
    {"alert bad certificate", "the agent refuses our certificate, or demands one",
     "name a certificate of the agent's CA: client_cert and client_key"},
    {"alert certificate required", "the agent demands a certificate",
     "name a certificate of the agent's CA: client_cert and client_key"},
    {"alert unknown ca", "the agent does not know the CA of client_cert",
     "name a certificate of the agent's CA: client_cert and client_key"},
    {"wrong version number", "the agent speaks plain HTTP at this port",
     "write http:// into address, or the port of HTTPS"},
    {"packet length too long", "the agent speaks plain HTTP at this port",
     "write http:// into address, or the port of HTTPS"},
    {"agent_user", "another user's program has the agent's address",
     "start the agent, or correct agent_user"},
    {"Could not resolve host", "the name of the agent's host is unknown",
     "mend the name in address, or write a numeric address"},
    {"unix://", "no agent listens at this socket",
     "start the agent; see addresses.http in its configuration, and the mode of the socket"},
    {"Couldn't connect", "no program listens at this address",
     "start the agent, or write its address and port into address"},
    {"Connection refused", "no program listens at this address",
     "start the agent, or write its address and port into address"},
    {"Failed to connect", "no program listens at this address",
     "start the agent, or write its address and port into address"},
    {"HTTP status 404", "a server without Consul's API answers here",
     "write the agent's port into address; Consul's default is 8500"},
    {"HTTP status 405", "a server without Consul's API answers here",
     "write the agent's port into address; Consul's default is 8500"},
    {"HTTP/0.9", "a program that is no HTTP server answers here",
     "write the agent's port into address; Consul's default is 8500"},
    {"Weird server reply", "a program that is no HTTP server answers here",
     "write the agent's port into address; Consul's default is 8500"},
    {"reset by peer", "no agent answers here, or an agent with too many connections",
     "write the agent's port into address; see limits.http_max_conns_per_client of the agent"},
    {"timed out", "the agent does not answer in time",
     "see the log of the agent; request_timeout is how long a request may take"},
    {"imeout", "the agent does not answer in time",
     "see the log of the agent; request_timeout is how long a request may take"},
    {"", "the agent gives no roots", "see the log of the agent"},
};

static const known_error *find_known(const char *text)
{
    const known_error *known = known_errors;

    while (strstr(text, known->words) == NULL)
        known++;
    return known;
}

bool cli_check_agent(cli_chain *chain)
{
    consul_request request = {.path = ROOTS_PATH, .is_open = true};
    consul_answer answer = {0};
    consul_error err = {0};
    bool ok = cli_agent_ask(&chain->agent, &request, &answer, &err);

    if (ok) {
        chain->agent_date = answer.date;
        chain->roots = consul_roots_decode(answer.body, answer.len, NULL, &err);
        cli_ok(chain, CLI_LINK_AGENT, "%s answers", answer.source + strlen("GET "));
    }
    if (ok && chain->roots == NULL)
        ok = cli_broken(chain, CLI_LINK_AGENT,
                        "write the agent's port into address; Consul's default is 8500",
                        "the answer is not Consul's: %s: %s", answer.source, err.text);
    else if (!ok)
        cli_broken(chain, CLI_LINK_AGENT, find_known(err.text)->cure, "%s: %s",
                   find_known(err.text)->says, err.text);
    consul_answer_free(&answer);
    return ok;
}

bool cli_check_clock(cli_chain *chain)
{
    char own[CLI_TIME_SIZE], theirs[CLI_TIME_SIZE], apart[CLI_TIME_SIZE];
    int64_t now = (int64_t)time(NULL), difference = now - chain->agent_date;

    if (chain->agent_date == 0)
        return cli_ok(chain, CLI_LINK_CLOCK, "the agent does not tell its time");
    cli_seconds(now, own);
    cli_seconds(chain->agent_date, theirs);
    cli_length(difference, apart);
    if (llabs(difference) > CLOCK_APART_MAX)
        return cli_broken(chain, CLI_LINK_CLOCK,
                          "check this host's clock, and the clock of the agent's host",
                          "this host's clock is %s %s the agent's: %s here, %s there", apart,
                          difference < 0 ? "behind" : "ahead of", own, theirs);
    return cli_ok(chain, CLI_LINK_CLOCK, "%s apart from the agent's", apart);
}

/* Count the roots that are valid now. */
static int count_valid(const STACK_OF(X509) *certs)
{
    int i, count = 0;

    for (i = 0; i < sk_X509_num(certs); i++) {
        const X509 *cert = sk_X509_value(certs, i);

        count += X509_cmp_timeframe(NULL, X509_get0_notBefore(cert), X509_get0_notAfter(cert)) == 0;
    }
    return count;
}

bool cli_check_roots(cli_chain *chain)
{
    const STACK_OF(X509) *certs = consul_roots_certs(chain->roots);
    int valid = count_valid(certs);

    if (valid == 0)
        return cli_broken(chain, CLI_LINK_ROOTS,
                          "check this host's clock; else have Consul's CA rotate its root",
                          "none of the %d roots of %s is valid now", sk_X509_num(certs),
                          consul_roots_trust_domain(chain->roots));
    return cli_ok(chain, CLI_LINK_ROOTS, "%d valid roots of the trust domain %s", valid,
                  consul_roots_trust_domain(chain->roots));
}
