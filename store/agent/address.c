/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/address.h"

#include "base/name.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>
#include <openssl/crypto.h>

static int address_error(const consul_settings *settings, consul_error *err, const char *why)
{
    return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                            "address = \"%s\": %s; allowed are host:port, http://host:port, "
                            "https://host:port and unix:///path",
                            strchr(settings->address, '@') == NULL
                                ? settings->address
                                : "(not shown: it may hold a password)",
                            why);
}

/* Put tls_server_name in the place of the host, and note the host in connect_to. */
static int set_server_name(const consul_settings *settings, consul_address *result, CURLU *url)
{
    char *host = NULL, *port = NULL;
    size_t size;
    int ok = 0;

    if (curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK
        && curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK
        && curl_url_set(url, CURLUPART_HOST, settings->tls_server_name, 0) == CURLUE_OK) {
        size = strlen(host) + strlen(port) + 4;
        result->connect_to = OPENSSL_malloc(size);
        ok = result->connect_to != NULL;
        if (ok)
            snprintf(result->connect_to, size, "::%s:%s", host, port);
    }
    curl_free(host);
    curl_free(port);
    return ok;
}

static bool has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;

    curl_free(text);
    return has;
}

static int set_base(const consul_settings *settings, consul_address *result, CURLU *url,
                    consul_error *err)
{
    char *base = NULL;
    size_t len;
    CURLUcode code = curl_url_get(url, CURLUPART_URL, &base, 0);

    if (code != CURLUE_OK)
        return address_error(settings, err, curl_url_strerror(code));
    for (len = strlen(base); len > 0 && base[len - 1] == '/'; len--)
        ;
    result->base = OPENSSL_strndup(base, len);
    curl_free(base);
    return result->base != NULL || consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the address");
}

/*
 * Return an authority and path in curl's form, for OPENSSL_free. Consul's tools also take an IPv6
 * address without brackets, and no host for this one.
 */
static char *in_curls_form(const char *text)
{
    size_t len = strcspn(text, "/?#"), size = strlen(text) + sizeof("[127.0.0.1]"), i;
    const char *first = memchr(text, ':', len), *last = memrchr(text, ':', len);
    char *result = OPENSSL_malloc(size);

    if (result == NULL)
        return NULL;
    if (first == NULL || memchr(text, '[', len) != NULL || memchr(text, '@', len) != NULL
        || (first == last && first != text)) {
        OPENSSL_strlcpy(result, text, size);
    } else if (first == last) {
        /* Newer releases of libcurl take a host with a colon and no port. */
        snprintf(result, size, "%s%s", len == 1 ? "" : "127.0.0.1", text);
    } else {
        i = (size_t)(last - text);
        if (i + 1 + strspn(last + 1, "0123456789") != len)
            i = len; /* no port */
        snprintf(result, size, "[%.*s]%s", (int)i, text, text + i);
    }
    return result;
}

static int parse_address(const consul_settings *settings, consul_address *result, CURLU *url,
                         consul_error *err)
{
    const char *address = settings->address, *colon = strstr(address, "://");
    bool https = settings->tls;
    char *text;
    CURLUcode code;

    if (colon != NULL && strncasecmp(address, "unix://", 7) == 0) {
        if (address[7] == '\0')
            return address_error(settings, err, "no path");
        result->socket_path = OPENSSL_strdup(address + 7);
        if (result->socket_path == NULL)
            return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the address");
        address = "localhost";
    } else if (colon == NULL && (strstr(address, "//") != NULL || strstr(address, ":/") != NULL)) {
        return address_error(settings, err, "it is neither host:port nor a URL");
    } else if (colon != NULL) {
        if (strncasecmp(address, "https://", 8) == 0)
            https = true;
        else if (strncasecmp(address, "http://", 7) != 0)
            return address_error(settings, err, "unknown scheme");
        address = colon + 3;
    }
    /* curl takes the scheme that is set afterwards, as the text has none. */
    text = in_curls_form(address);
    code = text == NULL ? CURLUE_OUT_OF_MEMORY
                        : curl_url_set(url, CURLUPART_URL, text, CURLU_DEFAULT_SCHEME);
    OPENSSL_free(text);
    if (code == CURLUE_OK)
        code = curl_url_set(url, CURLUPART_SCHEME, https ? "https" : "http", 0);
    if (code != CURLUE_OK)
        return address_error(settings, err, curl_url_strerror(code));
    if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
        return address_error(settings, err, "credentials belong into http_auth");
    if (has_part(url, CURLUPART_QUERY) || has_part(url, CURLUPART_FRAGMENT))
        return address_error(settings, err, "it has a query or a fragment");
    if (https && settings->tls_server_name != NULL && !set_server_name(settings, result, url))
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "tls_server_name = \"%s\" is not a host name",
                                settings->tls_server_name);
    result->https = https;
    return set_base(settings, result, url, err);
}

int consul_address_parse(const consul_settings *settings, consul_address *result, consul_error *err)
{
    CURLU *url = curl_url(); /* a parser, which needs no curl_global_init */
    int ok;

    if (url == NULL)
        return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the address");
    ok = parse_address(settings, result, url, err);
    curl_url_cleanup(url);
    return ok;
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* Return the text after a beginning, or the text itself without it. */
static const char *after(const char *text, const char *beginning)
{
    size_t len = strlen(beginning);

    return strncmp(text, beginning, len) == 0 ? text + len : text;
}

bool consul_address_is_plain(const char *address)
{
    const char *host = after(address, "unix:///"), *port;
    size_t len, digits;

    if (host != address)
        return *host != '\0';
    if ((host = after(address, "http://")) == address)
        host = after(address, "https://");
    len = strspn(host, LETTERS DIGITS "-.");
    if (len == 0 || len > CONSUL_HOST_MAX || host[len] != ':' || strspn(host, "-.") != 0
        || host[len - 1] == '.' || strstr(host, "..") != NULL)
        return false;
    port = host + len + 1;
    digits = strspn(port, DIGITS);
    return digits > 0 && port[digits] == '\0' && *port != '0'
           && (digits < 5 || (digits == 5 && strcmp(port, "65535") <= 0));
}

void consul_address_clear(consul_address *address)
{
    OPENSSL_free(address->base);
    OPENSSL_free(address->socket_path);
    OPENSSL_free(address->connect_to);
    memset(address, 0, sizeof(*address));
}
