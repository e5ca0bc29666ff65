/* SPDX-License-Identifier: Apache-2.0 */
/* The command show: the leaf of a service, the roots, and the intentions, as the agent has them. */
#include "commands.h"

#include "agent/decode.h"
#include "common/agent.h"
#include "common/certificate.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <openssl/pem.h>

#define UNKNOWN_CLIENT "consul-tls-no-such-service" /* whom no intention names */

typedef int show_fn(const cli_agent *agent, const consul_service *service, bool pem,
                    consul_error *err);

static void print_pem(const STACK_OF(X509) *certs)
{
    int i;

    for (i = 0; i < sk_X509_num(certs); i++)
        PEM_write_X509(stdout, sk_X509_value(certs, i));
}

static const char *name_of(const consul_service *service)
{
    return *service->name == '\0' ? NULL : service->name;
}

static int show_leaf(const cli_agent *agent, const consul_service *service, bool pem,
                     consul_error *err)
{
    consul_leaf *leaf;

    if (!consul_store_leaf(agent->store, name_of(service), &service->scope, consul_asking_now(),
                           &leaf, err))
        return 0;
    if (pem) {
        PEM_write_X509(stdout, consul_leaf_cert(leaf));
        print_pem(consul_leaf_chain(leaf));
    } else {
        printf("SPIFFE ID    %s\n", consul_leaf_id(leaf)->uri);
        cli_print_certificate(consul_leaf_cert(leaf), "");
        printf("chain        %d intermediates, ends at a root that the agent lists\n",
               sk_X509_num(consul_leaf_chain(leaf)));
    }
    consul_leaf_unref(leaf);
    return 1;
}

static int show_roots(const cli_agent *agent, const consul_service *service, bool pem,
                      consul_error *err)
{
    const STACK_OF(X509) *certs;
    consul_roots *roots;
    int i;

    if (!consul_store_roots(agent->store, &service->scope, consul_asking_now(), &roots, err))
        return 0;
    certs = consul_roots_certs(roots);
    if (pem) {
        print_pem(certs);
    } else {
        printf("trust domain %s\n", consul_roots_trust_domain(roots));
        for (i = 0; i < sk_X509_num(certs); i++) {
            printf("root %d\n", i + 1);
            cli_print_certificate(sk_X509_value(certs, i), "  ");
        }
    }
    consul_roots_unref(roots);
    return 1;
}

static const char *text_of(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));

    return text == NULL ? "" : text;
}

/* Print a text of the agent, with a question mark for each byte that could command a terminal. */
static void print_text(const char *text)
{
    for (; *text != '\0'; text++)
        putchar((unsigned char)*text < 0x20 || *text == 0x7f || (unsigned char)*text >= 0x80
                    ? '?'
                    : *text);
}

/* Name a source or a destination, with the parts of its scope that are not the default. */
static void print_party(const json_t *row, const char *end)
{
    char key[32];
    const char *ns, *partition;

    snprintf(key, sizeof(key), "%sNS", end);
    ns = text_of(row, key);
    snprintf(key, sizeof(key), "%sPartition", end);
    partition = text_of(row, key);
    snprintf(key, sizeof(key), "%sName", end);
    if (*partition != '\0' && strcmp(partition, "default") != 0) {
        print_text(partition);
        putchar('/');
    }
    if (*ns != '\0' && strcmp(ns, "default") != 0) {
        print_text(ns);
        putchar('/');
    }
    print_text(text_of(row, key));
    if (*end == 'S' && *text_of(row, "SourcePeer") != '\0') {
        fputs(" of the peer ", stdout);
        print_text(text_of(row, "SourcePeer"));
    }
}

static void print_intention(const json_t *row)
{
    const json_t *permissions = json_object_get(row, "Permissions");
    const json_t *jwt = json_object_get(row, "JWT");

    printf("%-6s ", json_array_size(permissions) > 0               ? "layer7"
                    : strcmp(text_of(row, "Action"), "allow") == 0 ? "allow"
                                                                   : "deny");
    print_party(row, "Source");
    fputs(" => ", stdout);
    print_party(row, "Destination");
    if (json_array_size(permissions) > 0)
        fputs("  (has permissions: the provider admits no client by it)", stdout);
    if (jwt != NULL && !json_is_null(jwt))
        fputs("  (demands a JWT: the provider admits no client by it)", stdout);
    if (*text_of(row, "ID") != '\0') {
        fputs("  ID ", stdout);
        print_text(text_of(row, "ID"));
    }
    putchar('\n');
}

/* Print how the agent decides about a client without an intention of its own. */
static int print_others(const cli_agent *agent, const char *service, const consul_scope *scope,
                        consul_error *err)
{
    enum consul_verdict verdict;
    char uri[CONSUL_URI_MAX];
    consul_spiffe_id target;
    consul_error why = {0};
    consul_roots *roots;

    if (!consul_store_roots(agent->store, scope, consul_asking_now(), &roots, err))
        return 0;
    snprintf(uri, sizeof(uri), "spiffe://%s/ns/%s/dc/dc1/svc/%s", consul_roots_trust_domain(roots),
             *scope->ns == '\0' ? "default" : scope->ns, service);
    consul_roots_unref(roots);
    if (!consul_spiffe_id_parse(uri, strlen(uri), &target, err))
        return 0;
    verdict = cli_agent_verdict(agent, UNKNOWN_CLIENT, &target, &why);
    if (verdict == CONSUL_VERDICT_YES)
        puts("allow  every other service");
    else if (verdict == CONSUL_VERDICT_NO)
        puts("deny   every other service");
    else
        return consul_error_copy(err, &why);
    return 1;
}

static int show_intentions(const cli_agent *agent, const consul_service *service, bool pem,
                           consul_error *err)
{
    const consul_settings *settings = consul_store_settings(agent->store);
    const char *name = *service->name == '\0' ? settings->service : service->name;
    consul_request request = {.path = CLI_MATCH_PATH, .destination = name};
    json_t *json, *rows, *row;
    consul_answer answer;
    const char *key;
    size_t i;

    if (name == NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "no service is named, and the setting service is not set");
    json = cli_agent_ask(agent, &request, &answer, err)
               ? consul_json_load_object(answer.body, answer.len, err)
               : NULL;
    consul_answer_free(&answer);
    if (json == NULL)
        return 0;
    json_object_foreach(json, key, rows) {
        json_array_foreach(rows, i, row)
            print_intention(row);
    }
    json_decref(json);
    return print_others(agent, name, &agent->scope, err);
}

int cli_show(const cli_arguments *arguments, consul_error *err)
{
    static const struct {
        const char *name;
        show_fn *show;
    } kinds[] = {{"leaf", show_leaf}, {"roots", show_roots}, {"intentions", show_intentions}};
    bool pem = cli_option(arguments, "pem") != NULL;
    show_fn *show = NULL;
    consul_service service = {0};
    cli_agent agent = {0};
    int ok = 0;
    size_t i;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && arguments->count > 0; i++) {
        if (strcmp(kinds[i].name, arguments->operands[0]) == 0)
            show = kinds[i].show;
    }
    if (show == NULL || arguments->count > 2)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "the command shows leaf, roots or intentions of one service");
    if ((arguments->count < 2 || consul_service_parse(arguments->operands[1], &service, err))
        && cli_agent_open(&agent, arguments, err))
        ok = show(&agent, &service, pem, err);
    cli_agent_close(&agent);
    return ok;
}
