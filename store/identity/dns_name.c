/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/dns_name.h"

#include <string.h>

#include <openssl/crypto.h>

#define LABELS_MAX (CONSUL_HOST_MAX / 2 + 1)

/* Cut ".<domain>" off the end of `host`. Return false for another end. Both are in lower case. */
static bool cut_domain(char *host, const char *domain)
{
    size_t host_len = strlen(host), len = strlen(domain);

    if (host_len <= len || host[host_len - len - 1] != '.'
        || strcmp(host + host_len - len, domain) != 0)
        return false;
    host[host_len - len - 1] = '\0';
    return true;
}

static size_t split(char *host, char *labels[LABELS_MAX])
{
    size_t count = 0;
    char *rest = host, *label;

    while (count < LABELS_MAX && (label = strsep(&rest, ".")) != NULL)
        labels[count++] = label;
    return rest == NULL ? count : 0;
}

static bool is_service_kind(const char *label)
{
    return strcmp(label, "service") == 0 || strcmp(label, "connect") == 0
           || strcmp(label, "virtual") == 0;
}

/* Read the labels after the kind: a datacenter, or pairs as in "<name>.ns.<name>.ap.<name>.dc". */
static bool parse_scope(char *labels[], size_t count, consul_scope *scope)
{
    size_t i;

    if (count == 1)
        return OPENSSL_strlcpy(scope->dc, labels[0], sizeof(scope->dc)) > 0;
    if (count % 2 != 0)
        return false;
    for (i = 0; i < count; i += 2) {
        char *field = strcmp(labels[i + 1], "ns") == 0   ? scope->ns
                      : strcmp(labels[i + 1], "ap") == 0 ? scope->partition
                      : strcmp(labels[i + 1], "dc") == 0 ? scope->dc
                                                         : NULL;

        if (field == NULL || *field != '\0' || *labels[i] == '\0')
            return false;
        OPENSSL_strlcpy(field, labels[i], CONSUL_NAME_MAX + 1);
    }
    return true;
}

/*
 * Return the label of the service: the last label before the kind, or RFC 2782's _name._protocol.
 */
static const char *service_label(char *labels[], size_t count)
{
    const char *label = labels[count - 1];

    if (*label == '_' && count == 2 && *labels[0] == '_')
        label = labels[0] + 1;
    return *label == '\0' || *label == '_' ? NULL : label;
}

enum consul_host_kind consul_host_parse(const char *host, const char *domain,
                                        consul_service *service)
{
    char copy[CONSUL_HOST_MAX + 2], zone[CONSUL_HOST_MAX + 1], *labels[LABELS_MAX];
    const char *name;
    size_t len, count, kind;

    memset(service, 0, sizeof(*service));
    if (OPENSSL_strlcpy(copy, host, sizeof(copy)) >= sizeof(copy)
        || OPENSSL_strlcpy(zone, domain, sizeof(zone)) >= sizeof(zone))
        return CONSUL_HOST_MALFORMED; /* too long for a host name */
    consul_lower_case(copy);
    consul_lower_case(zone);
    len = strlen(copy);
    if (len > 0 && copy[len - 1] == '.')
        copy[len - 1] = '\0';
    if (!cut_domain(copy, zone))
        return CONSUL_HOST_OTHER;
    count = split(copy, labels);
    if (count == 0)
        return CONSUL_HOST_MALFORMED;
    for (kind = count; kind > 0 && !is_service_kind(labels[kind - 1]); kind--)
        ;
    if (kind == 0)
        return CONSUL_HOST_OTHER; /* the name of a node or of a prepared query */
    name = kind == 1 ? NULL : service_label(labels, kind - 1);
    if (name == NULL || !parse_scope(labels + kind, count - kind, &service->scope))
        return CONSUL_HOST_MALFORMED;
    OPENSSL_strlcpy(service->name, name, sizeof(service->name));
    return CONSUL_HOST_SERVICE;
}
