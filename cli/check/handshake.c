/* SPDX-License-Identifier: Apache-2.0 */
#include "check/handshake.h"

#include "check/client.h"
#include "check/probe.h"
#include "check/starttls.h"
#include "common/certificate.h"
#include "common/pair.h"
#include "identity/cert.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/x509v3.h>

#define PROBE_PATIENCE_MS 15000 /* the longest handshake, with all of the provider's timeouts */
#define LISTENER_PATIENCE_MS 2500
#define JUDGED_SIZE 4096

typedef struct probe {
    pid_t pid;
    int fd;         /* this end of the connection */
    int errors;     /* a pipe with the reason of a failure */
    char why[1024]; /* the reason, in one line */
} probe;

static void exec_probe(const cli_chain *chain, int fd, int errors)
{
    char number[16], uri[CONSUL_URI_MAX];

    snprintf(number, sizeof(number), "%d", fd);
    cli_pair_uri(&chain->service, uri);
    fcntl(fd, F_SETFD, 0);
    dup2(errors, STDERR_FILENO);
    execl("/proc/self/exe", "consul-tls", CLI_PROBE, number, uri, chain->agent.conf.application,
          (char *)NULL);
    _exit(EXIT_FAILURE);
}

static bool start_probe(const cli_chain *chain, probe *p)
{
    int ends[2], errors[2];

    memset(p, 0, sizeof(*p));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0
        || pipe2(errors, O_CLOEXEC) != 0 || (p->pid = fork()) < 0)
        return false;
    if (p->pid == 0)
        exec_probe(chain, ends[1], errors[1]);
    close(ends[1]);
    close(errors[1]);
    p->fd = ends[0];
    p->errors = errors[0];
    return true;
}

/* Wait for the end of the server, and read its reason. */
static void end_probe(probe *p)
{
    size_t len = 0, i;
    ssize_t got;

    close(p->fd);
    while (len < sizeof(p->why) - 1
           && (got = read(p->errors, p->why + len, sizeof(p->why) - 1 - len)) > 0)
        len += (size_t)got;
    p->why[len] = '\0';
    for (i = 0; i + 1 < len; i++) {
        if (p->why[i] == '\n')
            p->why[i] = ';';
    }
    close(p->errors);
    waitpid(p->pid, NULL, 0);
}

/* Return a text about what a server presents that is not this service's leaf; NULL for the leaf. */
static const char *judge_cert(const cli_chain *chain, const cli_visit *visit,
                              char text[JUDGED_SIZE])
{
    consul_spiffe_id id;
    consul_error err = {0};

    if (!visit->connected)
        snprintf(text, JUDGED_SIZE, "it presents no certificate: %s", visit->why);
    else if (!consul_spiffe_id_of_cert(visit->cert, &id, &err))
        snprintf(text, JUDGED_SIZE, "it presents a certificate outside of Connect: %s", err.text);
    else if (!consul_spiffe_id_is(&id, chain->service.name, &chain->service.scope))
        snprintf(text, JUDGED_SIZE, "it presents the leaf of another service: %s", id.uri);
    else if (!consul_roots_verify(chain->roots, visit->cert, visit->chain, X509_PURPOSE_SSL_SERVER,
                                  -1, NULL, NULL, NULL, &err))
        snprintf(text, JUDGED_SIZE, "it presents a leaf that does not end at the agent's roots: %s",
                 err.text);
    else
        return NULL;
    return text;
}

/* Visit a server of a process of its own; NULL for the leaf means without a certificate. */
static bool visit_probe(const cli_chain *chain, const consul_leaf *leaf, cli_visit *visit,
                        char why[1024])
{
    probe p;

    if (!start_probe(chain, &p)) {
        snprintf(why, 1024, "no process could be made: %s", strerror(errno));
        memset(visit, 0, sizeof(*visit));
        return false;
    }
    cli_visit_make(visit, p.fd, leaf, NULL, PROBE_PATIENCE_MS);
    end_probe(&p);
    OPENSSL_strlcpy(why, *p.why == '\0' ? visit->why : p.why, 1024);
    return true;
}

static bool report_probe(cli_chain *chain, const char *what, const char *why)
{
    const char *cure = strstr(why, "cannot be loaded") != NULL
                           ? "install the library that is missing"
                           : "see the reason; the log of the provider has more: log = stderr";

    return cli_broken(chain, CLI_LINK_HANDSHAKE, cure, "%s: %s", what, why);
}

/* Visit without a certificate: the leaf is presented, a certificate demanded, and the client refused. */
static bool check_denied(cli_chain *chain)
{
    char why[1024], text[JUDGED_SIZE];
    const char *wrong;
    cli_visit visit;
    bool ok = false;

    if (!visit_probe(chain, NULL, &visit, why))
        report_probe(chain, "no server", why);
    else if ((wrong = judge_cert(chain, &visit, text)) != NULL)
        report_probe(chain, wrong, why);
    else if (!visit.demanded)
        report_probe(chain, "a server with this file demands no certificate", why);
    else if (visit.admitted)
        report_probe(chain, "a server with this file admits a client without a certificate", why);
    else
        ok = true;
    cli_visit_clear(&visit);
    return ok;
}

bool cli_check_handshake(cli_chain *chain)
{
    const char *name = chain->service.name;
    consul_error err = {0};
    enum consul_verdict verdict;
    char why[1024];
    cli_visit visit;
    bool ok;

    if (!check_denied(chain))
        return false;
    verdict = cli_agent_verdict(&chain->agent, name, consul_leaf_id(chain->leaf), &err);
    ok = visit_probe(chain, chain->leaf, &visit, why);
    if (!ok)
        report_probe(chain, "no server", why);
    else if (verdict == CONSUL_VERDICT_YES && !visit.admitted)
        ok = report_probe(chain, "an allowed client is refused", why);
    else if (verdict != CONSUL_VERDICT_YES && visit.admitted)
        ok = report_probe(chain, "a client is admitted that the agent does not allow", err.text);
    else
        cli_ok(chain, CLI_LINK_HANDSHAKE,
               visit.admitted ? "without a certificate: refused; as \"%s\": admitted"
                              : "without a certificate: refused; as \"%s\": refused, as the "
                                "intentions have it",
               name);
    cli_visit_clear(&visit);
    return ok;
}

/* ---- the listener at HOST:PORT ---- */

/* Connect to HOST:PORT; -1 with a reason. */
static int connect_to(const char *address, char why[256])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL, *one;
    char host[CLI_HOST_MAX];
    const char *port = cli_split_address(address, host);
    int fd = -1, error;

    if (port == NULL) {
        snprintf(why, 256, "it is no HOST:PORT");
        return -1;
    }
    if ((error = getaddrinfo(host, port, &hints, &list)) != 0) {
        snprintf(why, 256, "%s", gai_strerror(error));
        return -1;
    }
    for (one = list; one != NULL && fd < 0; one = one->ai_next) {
        fd = socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol);
        if (fd >= 0 && connect(fd, one->ai_addr, one->ai_addrlen) != 0) {
            snprintf(why, 256, "%s", strerror(errno));
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

static bool visit_listener(cli_chain *chain, const char *address, cli_visit *visit)
{
    const char *protocol = cli_chain_option(chain, "starttls");
    char why[CLI_STARTTLS_WHY] = "no address";
    int fd;

    memset(visit, 0, sizeof(*visit));
    if (protocol != NULL && !cli_starttls_knows(protocol))
        return cli_broken(chain, CLI_LINK_LISTENER, cli_starttls_names,
                          "the command knows no --starttls %s", protocol);
    if ((fd = connect_to(address, why)) < 0)
        return cli_broken(chain, CLI_LINK_LISTENER,
                          "start the server, or give the address at which it listens",
                          "%s cannot be connected to: %s", address, why);
    if (protocol != NULL && !cli_starttls_begin(fd, protocol, why)) {
        close(fd);
        return cli_broken(chain, CLI_LINK_LISTENER,
                          "turn TLS on in the server, or name its protocol: --starttls PROTOCOL",
                          "%s begins no TLS by %s: %s", address, protocol, why);
    }
    cli_visit_make(visit, fd, NULL, NULL, LISTENER_PATIENCE_MS);
    close(fd);
    return true;
}

/* Report a server that is not governed. Without a certificate it may want other words before TLS. */
static bool report_listener(cli_chain *chain, const cli_visit *visit, const char *wrong)
{
    bool may_want_words = !visit->connected && cli_chain_option(chain, "starttls") == NULL;
    char cure[512];

    snprintf(cure, sizeof(cure),
             "start the program with OPENSSL_CONF in its environment, and with a stand-in or a row "
             "service; --pid PID shows what it lacks%s",
             may_want_words ? "; PostgreSQL needs --starttls postgres" : "");
    return cli_broken(chain, CLI_LINK_LISTENER, cure, "%s: %s", cli_chain_option(chain, "connect"),
                      wrong);
}

bool cli_check_listener(cli_chain *chain)
{
    const char *address = cli_chain_option(chain, "connect"), *wrong;
    char *serial = NULL, text[JUDGED_SIZE];
    cli_visit visit;
    bool ok;

    if (!visit_listener(chain, address, &visit))
        return false;
    wrong = judge_cert(chain, &visit, text);
    if (wrong == NULL && !visit.demanded)
        wrong = "it demands no certificate";
    if (wrong == NULL && visit.admitted)
        wrong = "it admits a client without a certificate";
    if (wrong != NULL) {
        ok = report_listener(chain, &visit, wrong);
    } else {
        serial = consul_cert_serial(visit.cert, NULL);
        ok = cli_ok(
            chain, CLI_LINK_LISTENER,
            "%s presents %s of \"%s\" (serial %s), and refuses a client without a certificate",
            address,
            X509_cmp(visit.cert, consul_leaf_cert(chain->leaf)) == 0 ? "this leaf" : "a leaf",
            chain->service.name, serial == NULL ? "unreadable" : serial);
        OPENSSL_free(serial);
    }
    cli_visit_clear(&visit);
    return ok;
}
