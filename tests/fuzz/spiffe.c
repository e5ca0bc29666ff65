/* SPDX-License-Identifier: Apache-2.0 */
/* SPIFFE IDs of services. An accepted ID, written anew from its parts, is the same text but for its case. */
#include "fuzz.h"

#include "identity/spiffe.h"

#include <strings.h>

#define AUTHORITY (sizeof("spiffe://") - 1)

/* Require the characters of X509-SVID's path segments, and no relative one. */
static void require_segment(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");

    REQUIRE(len > 0 && len <= CONSUL_NAME_MAX && name[len] == '\0');
    REQUIRE(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
}

static void require_whole(const consul_spiffe_id *id, const uint8_t *data, size_t size)
{
    char partition[CONSUL_NAME_MAX + 8] = "", again[8 * CONSUL_NAME_MAX];
    const char *path;

    REQUIRE(strlen(id->uri) == size && memcmp(id->uri, data, size) == 0);
    if (strncmp(id->uri + AUTHORITY + strlen(id->trust_domain), "/ap/", 4) == 0)
        snprintf(partition, sizeof(partition), "/ap/%s", id->scope.partition);
    else
        REQUIRE(strcmp(id->scope.partition, "default") == 0);
    snprintf(again, sizeof(again), "spiffe://%s%s/ns/%s/dc/%s/svc/%s", id->trust_domain, partition,
             id->scope.ns, id->scope.dc, id->service);
    path = again + AUTHORITY + strlen(id->trust_domain);
    REQUIRE(strcasecmp(again, id->uri) == 0);
    REQUIRE(strcmp(path, id->uri + (path - again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    consul_error err = {0};
    consul_spiffe_id id, same;
    const char *c;
    int ok = consul_spiffe_id_parse((const char *)data, size, &id, &err);

    fuzz_require_result(ok, &err);
    if (!ok)
        return 0;
    require_segment(id.service);
    require_segment(id.scope.ns);
    require_segment(id.scope.partition);
    require_segment(id.scope.dc);
    for (c = id.trust_domain; *c != '\0'; c++)
        REQUIRE(*c == consul_lower(*c));
    require_whole(&id, data, size);
    REQUIRE(consul_spiffe_id_is(&id, id.service, &id.scope));
    REQUIRE(!consul_spiffe_id_is(&id, "", &id.scope));
    REQUIRE(consul_spiffe_id_parse(id.uri, strlen(id.uri), &same, NULL));
    REQUIRE(memcmp(&id, &same, sizeof(id)) == 0);
    return 0;
}
