/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table `upstreams`: which hosts are which services. A row is a host name, or "*." and a name, for
 * all hosts with one label before it. Addresses are no rows: a handshake does not name them. Many
 * clients, as curl, do not let OpenSSL see their socket either.
 */
#include "config/upstream.h"

#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>

#define ROW_MAX 256 /* bytes; a host name has less */

#define ALLOWED                                                                                  \
    "allowed are host names in lower case, without port, path or a dot at the end, and *. with " \
    "such a name after it"

#define NO_ADDRESS                                                                              \
    "an address is not to be seen in a handshake; have programs connect to a name that stands " \
    "for it, in /etc/hosts say, or set outbound = require"

/* Write the row that a host would have: as it is written, in lower case and without its last dot. */
static bool make_row(const char *host, char row[ROW_MAX])
{
    size_t len = strlen(host), i;

    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len >= ROW_MAX)
        return false;
    for (i = 0; i < len; i++)
        row[i] = consul_lower(host[i]);
    row[len] = '\0';
    return true;
}

static bool is_row(const char *row)
{
    return consul_host_is_valid(strncmp(row, "*.", 2) == 0 ? row + 2 : row);
}

/* Write what is left of a row without escapes, scheme, path, port and the dots around it. */
static void strip(const char *name, char host[ROW_MAX])
{
    const char *scheme = strstr(name, "//");
    size_t len = 0;
    char *colon;

    name = scheme == NULL ? name : scheme + 2;
    for (name += strspn(name, "."); *name != '\0' && *name != '/' && len < ROW_MAX - 1; name++) {
        if (*name != '\\')
            host[len++] = *name;
    }
    host[len] = '\0';
    colon = strchr(host, ':');
    if (colon != NULL && strchr(colon + 1, ':') == NULL)
        *colon = '\0';
}

static bool is_address(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

int prov_upstream_check(const char *name, consul_error *err)
{
    char host[ROW_MAX], row[ROW_MAX];

    if (is_row(name))
        return 1;
    strip(name, host);
    if (is_address(host))
        return consul_error_set(err, CONSUL_R_SETTING_INVALID, NO_ADDRESS);
    if (make_row(host, row) && is_row(row))
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "no program asks for a host by this name; write %s; " ALLOWED, row);
    return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                            "no program asks for a host by this name; " ALLOWED);
}

const char *prov_upstream_find(const prov_core *core, const char *host)
{
    char row[ROW_MAX];
    const char *text, *dot;

    if (!make_row(host, row))
        return NULL;
    text = prov_section_row(core, "upstreams", row);
    dot = strchr(row, '.');
    if (text != NULL || dot == NULL || dot == row)
        return text;
    row[0] = '*';
    memmove(row + 1, dot, strlen(dot) + 1);
    return prov_section_row(core, "upstreams", row);
}
