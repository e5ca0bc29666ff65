/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names of Consul's DNS, and the rows of `upstreams`: a list of domains, a NUL, a host. A service is a part of the
 * host. The case of a host and its last dot change nothing but the case of the service.
 */
#include "fuzz.h"

#include "config/upstream.h"
#include "identity/dns_name.h"

#include <strings.h>

#include <openssl/params.h>

static char asked[2][512]; /* the rows that were looked up, in their order */
static size_t count;

/* Note the row, and have none. */
static int get_params(const OSSL_CORE_HANDLE *handle, OSSL_PARAM params[])
{
    REQUIRE(count < 2);
    REQUIRE(strlen(params[0].key) < sizeof(asked[0]));
    strcpy(asked[count++], params[0].key);
    return 1;
}

static void try_upstream(const char *host)
{
    const prov_core core = {.get_params = get_params};
    const char *c;
    size_t i;

    count = 0;
    REQUIRE(prov_upstream_find(&core, host) == NULL);
    for (i = 0; i < count; i++) {
        REQUIRE(strncmp(asked[i], "upstreams.", 10) == 0);
        for (c = asked[i]; *c != '\0'; c++)
            REQUIRE(*c == consul_lower(*c));
    }
    REQUIRE(count < 2 || strncmp(asked[1], "upstreams.*.", 12) == 0);
}

/* Require the same service, and perhaps another case of its name. */
static void require_same(const consul_service *one, const consul_service *other)
{
    REQUIRE(strcasecmp(one->name, other->name) == 0);
    REQUIRE(strcmp(one->scope.ns, other->scope.ns) == 0);
    REQUIRE(strcmp(one->scope.partition, other->scope.partition) == 0);
    REQUIRE(strcmp(one->scope.dc, other->scope.dc) == 0);
}

static void try_host(const char *domains, char *host)
{
    consul_service service, other;
    enum consul_host_kind kind = consul_host_parse(host, domains, &service);
    size_t len = strlen(host);

    REQUIRE(kind >= CONSUL_HOST_OTHER && kind <= CONSUL_HOST_SERVICE && service.is_label);
    REQUIRE((kind == CONSUL_HOST_SERVICE) == (*service.name != '\0'));
    if (kind == CONSUL_HOST_SERVICE) {
        REQUIRE(strlen(service.name) < len && strstr(host, service.name) != NULL);
        REQUIRE(strchr(service.name, '.') == NULL && *service.name != '_');
    } else {
        REQUIRE(*service.scope.ns == '\0' && *service.scope.partition == '\0');
        REQUIRE(*service.scope.dc == '\0');
    }
    if (len > 0 && len <= CONSUL_HOST_MAX && host[len - 1] == '.'
        && host[len > 1 ? len - 2 : 0] != '.') {
        host[len - 1] = '\0';
        REQUIRE(consul_host_parse(host, domains, &other) == kind);
        require_same(&service, &other);
    }
    consul_lower_case(host);
    REQUIRE(consul_host_parse(host, domains, &other) == kind);
    require_same(&service, &other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    char *domains = fuzz_text(&input, '\0'), *host = fuzz_text(&input, '\0');
    char *domain = domains;

    /* The setting `domain` has valid names alone. */
    for (; *domain != '\0'; domain++) {
        if (strspn(domain, "abcdefghijklmnopqrstuvwxyz0123456789-_.,") == 0)
            *domain = (char)('a' + (*domain & 15));
    }
    try_upstream(host);
    try_host(*domains == '\0' ? "consul" : domains, host);
    free(domains);
    free(host);
    return 0;
}
