/* SPDX-License-Identifier: Apache-2.0 */
/* consul: URIs, and services in their notation. An accepted text, written anew from its parts, has the same parts. */
#include "fuzz.h"

#include "identity/uri.h"

/* Append a name with a percent sign for each byte. */
static void append_name(char *text, const char *before, const char *name)
{
    size_t len = strlen(text);

    len += (size_t)sprintf(text + len, "%s", before);
    for (; *name != '\0'; name++)
        len += (size_t)sprintf(text + len, "%%%02X", (unsigned char)*name);
}

static void append_scope(char *text, const consul_scope *scope)
{
    const char *before = "?";

    if (*scope->ns != '\0') {
        append_name(text, "?ns=", scope->ns);
        before = "&";
    }
    if (*scope->partition != '\0') {
        append_name(strcat(text, before), "partition=", scope->partition);
        before = "&";
    }
    if (*scope->dc != '\0')
        append_name(strcat(text, before), "dc=", scope->dc);
}

/* Require a field to be empty, or a name that Consul's API takes as one segment of a path. */
static void require_name(const char *name)
{
    REQUIRE(*name == '\0' || consul_name_check("a name", name, CONSUL_R_URI_INVALID, NULL));
    REQUIRE(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
}

static void require_scope(const consul_scope *scope)
{
    require_name(scope->ns);
    require_name(scope->partition);
    require_name(scope->dc);
}

static void try_uri(const char *text)
{
    char again[4 * (3 * CONSUL_NAME_MAX + 16)];
    consul_error err = {0};
    consul_uri uri, same;
    int ok = consul_uri_parse(text, &uri, &err);

    fuzz_require_result(ok, &err);
    if (!ok)
        return;
    require_name(uri.service);
    require_scope(&uri.scope);
    REQUIRE(uri.kind == CONSUL_URI_LEAF || *uri.service == '\0');
    strcpy(again, uri.kind == CONSUL_URI_LEAF ? "consul:leaf" : "consul:roots");
    if (*uri.service != '\0')
        append_name(again, "/", uri.service);
    append_scope(again, &uri.scope);
    if (strlen(again) > CONSUL_URI_MAX) /* longer than the text was, as all is encoded */
        return;
    REQUIRE(consul_uri_parse(again, &same, NULL));
    REQUIRE(memcmp(&uri, &same, sizeof(uri)) == 0);
}

static void try_service(const char *text)
{
    char again[4 * (3 * CONSUL_NAME_MAX + 16)] = "";
    consul_error err = {0};
    consul_service service, same;
    int ok = consul_service_parse(text, &service, &err);

    fuzz_require_result(ok, &err);
    require_name(service.name);
    require_scope(&service.scope);
    REQUIRE(ok == (*service.name != '\0') && !service.is_label);
    append_name(again, "", service.name);
    append_scope(again, &service.scope);
    if (!ok || strlen(again) > CONSUL_URI_MAX)
        return;
    REQUIRE(consul_service_parse(again, &same, NULL));
    REQUIRE(memcmp(&service, &same, sizeof(service)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    char *text = fuzz_text(&input, '\0');

    try_uri(text);
    try_service(text);
    free(text);
    return 0;
}
