/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The URL of a request about a service of a consul: URI. No name leads to another path, host or parameter: each is found
 * again in its own place.
 */
#include "fuzz.h"

#include "agent/url.h"
#include "identity/uri.h"

#include <stdbool.h>

#define LEAF_PATH "/v1/agent/connect/ca/leaf/"

/* Return a part of a URL for curl_free, or "" without it. */
static char *part(CURLU *url, CURLUPart which)
{
    char *text = NULL;

    if (curl_url_get(url, which, &text, 0) != CURLUE_OK)
        text = curl_easy_escape(NULL, "", 0);
    REQUIRE(text != NULL);
    return text;
}

/* Require text[0..len) to be the name, encoded, without a character that divides a URL. In a query + is a space. */
static void require_name(const char *text, size_t len, const char *name, bool is_query)
{
    char copy[CONSUL_URI_MAX + 1], *plus, *decoded;
    int decoded_len;

    REQUIRE(len < sizeof(copy));
    memcpy(copy, text, len);
    copy[len] = '\0';
    for (plus = copy; is_query && (plus = strchr(plus, '+')) != NULL;)
        *plus = ' ';
    decoded = curl_easy_unescape(NULL, copy, (int)len, &decoded_len);

    REQUIRE(strcspn(text, "/?#&=;") >= len);
    REQUIRE(decoded != NULL && (size_t)decoded_len == strlen(name));
    REQUIRE(strcmp(decoded, name) == 0);
    curl_free(decoded);
}

/* Take "name=value" and a '&' off the front of a query. */
static const char *take_parameter(const char *query, const char *name, const char *value)
{
    size_t len = strcspn(query, "&"), name_len = strlen(name);

    if (*value == '\0')
        return query;
    REQUIRE(strncmp(query, name, name_len) == 0 && query[name_len] == '=');
    require_name(query + name_len + 1, len - name_len - 1, value, true);
    return query + len + (query[len] == '&');
}

static void require_url(CURLU *url, const consul_uri *uri)
{
    char *host = part(url, CURLUPART_HOST), *path = part(url, CURLUPART_PATH);
    char *query = part(url, CURLUPART_QUERY), *fragment = part(url, CURLUPART_FRAGMENT);
    const char *rest = query;

    REQUIRE(strcmp(host, "127.0.0.1") == 0 && *fragment == '\0');
    REQUIRE(strncmp(path, LEAF_PATH, strlen(LEAF_PATH)) == 0);
    require_name(path + strlen(LEAF_PATH), strlen(path) - strlen(LEAF_PATH), uri->service, false);
    rest = take_parameter(rest, "dc", uri->scope.dc);
    rest = take_parameter(rest, "ns", uri->scope.ns);
    rest = take_parameter(rest, "partition", uri->scope.partition);
    REQUIRE(*rest == '\0');
    curl_free(host);
    curl_free(path);
    curl_free(query);
    curl_free(fragment);
}

static const consul_agent *the_agent(void)
{
    static consul_settings *settings;
    static consul_agent *agent;

    if (agent == NULL) {
        settings = consul_settings_new(NULL, NULL, NULL);
        agent = settings == NULL ? NULL : consul_agent_new(settings, NULL);
        REQUIRE(agent != NULL);
    }
    return agent;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    char *text = fuzz_text(&input, '\0'), source[CONSUL_URI_MAX];
    consul_request request = {.path = LEAF_PATH};
    consul_uri uri;
    CURLU *url;

    if (consul_uri_parse(text, &uri, NULL) && *uri.service != '\0') {
        request.last_segment = uri.service;
        request.scope = &uri.scope;
        url = consul_url_make(the_agent(), &request);
        REQUIRE(url != NULL);
        require_url(url, &uri);
        consul_url_describe(url, the_agent(), &request, source);
        fuzz_require_printable(source);
        curl_url_cleanup(url);
    }
    free(text);
    return 0;
}
