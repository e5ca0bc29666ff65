/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands register and deregister: a native service in the catalog of the agent,
 * https://developer.hashicorp.com/consul/api-docs/agent/service
 */
#include "commands.h"

#include "common/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#define REGISTER_PATH "/v1/agent/service/register"
#define DEREGISTER_PATH "/v1/agent/service/deregister/"

/* Do one thing with the definition of a service. */
typedef int each_fn(const cli_agent *agent, json_t *definition, consul_error *err);

/* Find a field whatever its case is: files have "name", and the API has "Name". */
static json_t *field(const json_t *object, const char *name)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (strcasecmp(key, name) == 0)
            return value;
    }
    return NULL;
}

static const char *name_of(const json_t *definition)
{
    const char *id = json_string_value(field(definition, "id"));
    const char *name = json_string_value(field(definition, "name"));

    return id != NULL && *id != '\0' ? id : name;
}

/* Make a service native. A sidecar would take its connections. */
static int make_native(json_t *definition, consul_error *err)
{
    json_t *connect = field(definition, "connect"), *sidecar;

    if (name_of(definition) == NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "a service of the file has no name: give it one");
    if (connect == NULL || json_is_null(connect)) {
        connect = json_object();
        if (json_object_set_new(definition, "connect", connect) != 0)
            return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a service");
    }
    sidecar = field(connect, "sidecar_service");
    if (sidecar == NULL)
        sidecar = field(connect, "sidecarservice");
    if (!json_is_object(connect) || (sidecar != NULL && !json_is_null(sidecar)))
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "the service \"%s\" has a sidecar: a native service has none",
                                name_of(definition));
    json_object_del(connect, "Native");
    return json_object_set_new(connect, "native", json_true()) == 0
           || consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a service");
}

static int enter(const cli_agent *agent, json_t *definition, consul_error *err)
{
    consul_request request = {.path = REGISTER_PATH, .writes = true};
    consul_answer answer = {0};
    char *body;
    int ok;

    if (!make_native(definition, err))
        return 0;
    if ((body = json_dumps(definition, JSON_COMPACT)) == NULL)
        return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a service");
    request.body = body;
    ok = cli_agent_ask(agent, &request, &answer, err);
    consul_answer_free(&answer);
    free(body);
    if (ok)
        printf("registered \"%s\"\n", name_of(definition));
    return ok;
}

static int take_out(const cli_agent *agent, json_t *definition, consul_error *err)
{
    consul_request request = {.path = DEREGISTER_PATH, .writes = true};
    consul_answer answer = {0};
    int ok;

    if ((request.last_segment = name_of(definition)) == NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "a service of the file has no name: give it one");
    ok = cli_agent_ask(agent, &request, &answer, err);
    consul_answer_free(&answer);
    if (ok)
        printf("deregistered \"%s\"\n", request.last_segment);
    return ok;
}

static bool is_file(const char *operand)
{
    size_t len = strlen(operand);

    return strchr(operand, '/') != NULL || (len > 5 && strcmp(operand + len - 5, ".json") == 0);
}

/* Call `each` for each service of a file, in the form of consul services register. */
static int each_of_file(const cli_agent *agent, const char *path, each_fn *each, consul_error *err)
{
    json_error_t where;
    json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
    json_t *services = field(file, "services"), *one = field(file, "service");
    int ok = 0;
    size_t i;

    if (file == NULL)
        consul_error_set(err, CONSUL_R_SETTING_INVALID, "%s: line %d: %s", path, where.line,
                         where.text);
    else if (json_array_size(services) > 0)
        for (ok = 1, i = 0; ok && i < json_array_size(services); i++)
            ok = each(agent, json_array_get(services, i), err);
    else if (json_is_object(one) || field(file, "name") != NULL)
        ok = each(agent, json_is_object(one) ? one : file, err);
    else
        consul_error_set(err, CONSUL_R_SETTING_INVALID,
                         "%s has no service: give it \"service\" or \"services\"", path);
    json_decref(file);
    return ok;
}

static void add_text(json_t *definition, const char *name, const char *value)
{
    if (value != NULL)
        json_object_set_new(definition, name, json_string(value));
}

/* Return the definition of a service by the options; NULL on an error. */
static json_t *define(const cli_arguments *arguments, consul_error *err)
{
    const char *port = cli_option(arguments, "port"), *tag = cli_option(arguments, "tag");
    long number = port == NULL ? 0 : cli_number(port, 65535);
    consul_service service;
    json_t *definition;

    if (!cli_service(arguments, &service, err))
        return NULL;
    if (number == 0) {
        consul_error_set(err, CONSUL_R_SETTING_INVALID,
                         "the service has no port: add --port with a number of 1 to 65535");
        return NULL;
    }
    definition = json_object();
    add_text(definition, "name", service.name);
    add_text(definition, "id", cli_option(arguments, "id"));
    add_text(definition, "address", cli_option(arguments, "address"));
    json_object_set_new(definition, "port", json_integer(number));
    if (tag != NULL)
        json_object_set_new(definition, "tags", json_pack("[s]", tag));
    return definition;
}

int cli_register(const cli_arguments *arguments, consul_error *err)
{
    const char *operand = arguments->count == 1 ? arguments->operands[0] : "";
    bool by_file = is_file(operand);
    cli_agent agent = {0};
    json_t *definition = NULL;
    int ok = 0;

    if (by_file && cli_option(arguments, "port") != NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "--port is for a service, and a file has its own port");
    if (!by_file && (definition = define(arguments, err)) == NULL)
        return 0;
    if (cli_agent_open(&agent, arguments, err))
        ok = by_file ? each_of_file(&agent, operand, enter, err) : enter(&agent, definition, err);
    json_decref(definition);
    cli_agent_close(&agent);
    return ok;
}

int cli_deregister(const cli_arguments *arguments, consul_error *err)
{
    const char *operand = arguments->count == 1 ? arguments->operands[0] : "";
    consul_service service;
    cli_agent agent = {0};
    json_t *definition;
    int ok = 0;

    if (!is_file(operand) && !cli_service(arguments, &service, err))
        return 0;
    if (!cli_agent_open(&agent, arguments, err)) {
        cli_agent_close(&agent);
        return 0;
    }
    if (is_file(operand)) {
        ok = each_of_file(&agent, operand, take_out, err);
    } else {
        definition = json_pack("{s:s}", "id", service.name);
        ok = take_out(&agent, definition, err);
        json_decref(definition);
    }
    cli_agent_close(&agent);
    return ok;
}
