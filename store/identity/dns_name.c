/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/dns_name.h"

#include <string.h>

#include <openssl/crypto.h>

#define LABELS_MAX (CONSUL_HOST_MAX / 2 + 1)

/*
 * Return the length of the host before a dot and the domain, or 0 for another end. The case of the
 * host does not count. The domain is in lower case.
 */
static size_t before_domain(const char *host, size_t len, const char *domain, size_t domain_len)
{
    size_t before, i;

    if (len <= domain_len || host[len - domain_len - 1] != '.')
        return 0;
    before = len - domain_len - 1;
    for (i = 0; i < domain_len; i++) {
        if (consul_lower(host[before + 1 + i]) != domain[i])
            return 0;
    }
    return before;
}

/* Return the length of the host before the longest domain of a list that it is in, or 0. */
static size_t before_domains(const char *host, size_t len, const char *domains)
{
    size_t least = 0, before, domain_len;

    for (; *domains != '\0'; domains += domain_len + strspn(domains + domain_len, ",")) {
        domain_len = strcspn(domains, ",");
        before = before_domain(host, len, domains, domain_len);
        if (before > 0 && (least == 0 || before < least))
            least = before;
    }
    return least;
}

static size_t split(char *host, char *labels[LABELS_MAX])
{
    size_t count = 0;
    char *rest = host, *label;

    while (count < LABELS_MAX && (label = strsep(&rest, ".")) != NULL)
        labels[count++] = label;
    return rest == NULL ? count : 0;
}

static bool is_one_of(const char *label, const char *const words[])
{
    for (; *words != NULL; words++) {
        if (strcmp(label, *words) == 0)
            return true;
    }
    return false;
}

/* Return the place of the last label that is the kind of a name of Consul's, or `count`. */
static size_t find_kind(char *labels[], size_t count)
{
    static const char *const kinds[] = {"service", "connect", "virtual", "ingress",
                                        "node",    "query",   "addr",    NULL};
    size_t i;

    for (i = count; i > 0; i--) {
        if (is_one_of(labels[i - 1], kinds))
            return i - 1;
    }
    return count;
}

/*
 * Read the labels after the kind. They are a datacenter, or a namespace and a datacenter, or pairs as in
 * "<name>.ns.<name>.ap.<name>.dc". After "virtual" a single label is a peer. Services of peers and
 * of sameness groups are of another mesh, or may be.
 */
static bool parse_scope(const char *kind, char *labels[], size_t count, consul_scope *scope)
{
    static const char *const words[] = {"ns", "ap", "dc", "peer", "sg", "port", NULL};
    bool is_virtual = strcmp(kind, "virtual") == 0, is_pairs;
    size_t i;

    is_pairs = count % 2 == 0 && (count != 2 || is_one_of(labels[1], words));
    if (!is_pairs && count <= 2 && !is_virtual) {
        if (count == 2)
            OPENSSL_strlcpy(scope->ns, labels[0], sizeof(scope->ns));
        OPENSSL_strlcpy(scope->dc, labels[count - 1], sizeof(scope->dc));
        return *labels[0] != '\0' && *scope->dc != '\0';
    }
    for (i = 0; is_pairs && i < count; i += 2) {
        char *field = strcmp(labels[i + 1], "ns") == 0   ? scope->ns
                      : strcmp(labels[i + 1], "ap") == 0 ? scope->partition
                      : strcmp(labels[i + 1], "dc") == 0 ? scope->dc
                                                         : NULL;

        if (field == NULL || *field != '\0' || *labels[i] == '\0')
            return false;
        OPENSSL_strlcpy(field, labels[i], CONSUL_NAME_MAX + 1);
    }
    return is_pairs;
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

static void empty(consul_service *service)
{
    *service->name = *service->scope.ns = *service->scope.partition = *service->scope.dc = '\0';
    service->is_label = true;
}

enum consul_host_kind consul_host_parse(const char *host, const char *domains,
                                        consul_service *service)
{
    static const char *const services[] = {"service", "connect", "virtual", NULL};
    char copy[CONSUL_HOST_MAX + 1], *labels[LABELS_MAX];
    size_t len = strlen(host), count, kind;
    const char *name;

    empty(service);
    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len > CONSUL_HOST_MAX)
        return CONSUL_HOST_MALFORMED; /* too long for a host name */
    len = before_domains(host, len, domains);
    if (len == 0)
        return CONSUL_HOST_OTHER;
    memcpy(copy, host, len);
    copy[len] = '\0';
    consul_lower_case(copy);
    count = split(copy, labels);
    if (count == 0)
        return CONSUL_HOST_MALFORMED;
    kind = find_kind(labels, count);
    if (kind == count || !is_one_of(labels[kind], services))
        return CONSUL_HOST_OTHER; /* the name of a node or of a prepared query */
    name = kind == 0 ? NULL : service_label(labels, kind);
    if (name == NULL
        || !parse_scope(labels[kind], labels + kind + 1, count - kind - 1, &service->scope)) {
        empty(service);
        return CONSUL_HOST_MALFORMED;
    }
    memcpy(service->name, host + (name - copy), strlen(name) + 1);
    service->name[strlen(name)] = '\0';
    return CONSUL_HOST_SERVICE;
}
