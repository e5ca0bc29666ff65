/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/uri.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ALLOWED                                                                         \
    "; allowed are consul:leaf/<service>, consul:leaf (of the configured service) and " \
    "consul:roots, or consul:// for each, with ?ns=, partition= and dc="

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/*
 * Decode the percent signs of text[0..len) into a name. A NUL or a delimiter is at text[len]. Return 0 with an error
 * for an invalid name.
 */
static int decode_name(const char *what, const char *text, size_t len,
                       char name[CONSUL_NAME_MAX + 1], consul_error *err)
{
    size_t in, out = 0;

    for (in = 0; in < len; in++) {
        int c = (unsigned char)text[in];

        if (c == '%') {
            int high = hex_digit(text[in + 1]); /* no digit follows the name */
            int low = high < 0 ? -1 : hex_digit(text[in + 2]);

            if (low < 0)
                return consul_error_set(err, CONSUL_R_URI_INVALID,
                                        "%s has a '%%' without two hexadecimal digits", what);
            c = high * 16 + low;
            in += 2;
        }
        if (c == '\0')
            return consul_error_set(err, CONSUL_R_URI_INVALID, "%s has a zero byte in it", what);
        if (out == CONSUL_NAME_MAX)
            return consul_error_set(err, CONSUL_R_URI_INVALID, "%s is longer than %d bytes", what,
                                    CONSUL_NAME_MAX);
        name[out++] = (char)c;
    }
    name[out] = '\0';
    return consul_name_check(what, name, CONSUL_R_URI_INVALID, err);
}

/* Parse one key=value of the query. */
static int parse_parameter(const char *text, size_t len, consul_scope *scope, consul_error *err)
{
    struct {
        const char *key, *what;
        char *value;
    } known[] = {
        {"ns", "parameter ns", scope->ns},
        {"partition", "parameter partition", scope->partition},
        {"dc", "parameter dc", scope->dc},
    };
    const char *equals = memchr(text, '=', len);
    size_t key_len = equals == NULL ? len : (size_t)(equals - text);
    size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i].key) != key_len || memcmp(known[i].key, text, key_len) != 0)
            continue;
        if (known[i].value[0] != '\0')
            return consul_error_set(err, CONSUL_R_URI_INVALID, "%s is given twice", known[i].what);
        if (equals == NULL)
            return consul_error_set(err, CONSUL_R_URI_INVALID, "%s has no value", known[i].what);
        return decode_name(known[i].what, equals + 1, len - key_len - 1, known[i].value, err);
    }
    return consul_error_set(err, CONSUL_R_URI_INVALID, "unknown parameter \"%.*s\"", (int)key_len,
                            text);
}

static int parse_query(const char *text, consul_scope *scope, consul_error *err)
{
    for (;;) {
        size_t len = strcspn(text, "&");

        if (!parse_parameter(text, len, scope, err))
            return 0;
        if (text[len] == '\0')
            return 1;
        text += len + 1;
    }
}

static int parse_path(const char *path, size_t len, consul_uri *uri, consul_error *err)
{
    if (len == 5 && memcmp(path, "roots", 5) == 0) {
        uri->kind = CONSUL_URI_ROOTS;
        return 1;
    }
    if (len == 4 && memcmp(path, "leaf", 4) == 0) {
        uri->kind = CONSUL_URI_LEAF; /* of the configured service */
        return 1;
    }
    if (len >= 5 && memcmp(path, "leaf/", 5) == 0) {
        uri->kind = CONSUL_URI_LEAF;
        if (memchr(path + 5, '/', len - 5) != NULL)
            return consul_error_set(err, CONSUL_R_URI_INVALID, "more path after the service name");
        return decode_name("service name", path + 5, len - 5, uri->service, err);
    }
    return consul_error_set(err, CONSUL_R_URI_INVALID,
                            "\"%.*s\" is neither leaf/<service> nor leaf nor roots", (int)len,
                            path);
}

int consul_service_parse(const char *text, consul_service *service, consul_error *err)
{
    consul_error why = {0};
    size_t len = strcspn(text, "?");

    memset(service, 0, sizeof(*service));
    if (strlen(text) > CONSUL_URI_MAX)
        consul_error_set(&why, CONSUL_R_URI_INVALID, "it is longer than %d bytes", CONSUL_URI_MAX);
    else if (decode_name("service name", text, len, service->name, &why)
             && (text[len] == '\0' || parse_query(text + len + 1, &service->scope, &why)))
        return 1;
    memset(service, 0, sizeof(*service));
    return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                            "\"%.300s\" is not <service>[?ns=&partition=&dc=]: %s", text, why.text);
}

int consul_uri_parse(const char *text, consul_uri *uri, consul_error *err)
{
    consul_error why = {0};
    const char *path;
    size_t path_len;

    memset(uri, 0, sizeof(*uri));
    if (strlen(text) > CONSUL_URI_MAX)
        return consul_error_set(err, CONSUL_R_URI_INVALID,
                                "\"%.64s...\" is longer than %d bytes" ALLOWED, text,
                                CONSUL_URI_MAX);
    if (strncasecmp(text, "consul:", 7) != 0) {
        consul_error_set(&why, CONSUL_R_URI_INVALID, "its scheme is not consul");
        goto err;
    }
    path = text + 7;
    if (strncmp(path, "//", 2) == 0)
        path += 2;
    if (strchr(path, '#') != NULL) {
        consul_error_set(&why, CONSUL_R_URI_INVALID, "it has a fragment");
        goto err;
    }
    path_len = strcspn(path, "?");
    if (!parse_path(path, path_len, uri, &why)
        || (path[path_len] == '?' && !parse_query(path + path_len + 1, &uri->scope, &why)))
        goto err;
    return 1;

err:
    return consul_error_set(err, CONSUL_R_URI_INVALID, "\"%s\": %s" ALLOWED, text, why.text);
}
