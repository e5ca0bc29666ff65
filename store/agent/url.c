/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/url.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Set the path: the prefix of the address, the path of the API, one encoded segment. */
static int set_path(CURLU *url, const consul_request *request)
{
    char *prefix = NULL, *segment = NULL, *path = NULL;
    const char *more = request->last_segment;
    size_t len;
    int ok = 0;

    if (curl_url_get(url, CURLUPART_PATH, &prefix, 0) != CURLUE_OK)
        return 0;
    for (len = strlen(prefix); len > 0 && prefix[len - 1] == '/'; len--)
        ;
    if ((more == NULL || (segment = curl_easy_escape(NULL, more, (int)strlen(more))) != NULL)
        && asprintf(&path, "%.*s%s%s", (int)len, prefix, request->path,
                    segment == NULL ? "" : segment)
               >= 0)
        ok = curl_url_set(url, CURLUPART_PATH, path, 0) == CURLUE_OK;
    else
        path = NULL;
    curl_free(prefix);
    curl_free(segment);
    free(path);
    return ok;
}

static int set_parameter(CURLU *url, const char *name, const char *value)
{
    char parameter[CONSUL_NAME_MAX + 16];

    if (*value == '\0')
        return 1;
    snprintf(parameter, sizeof(parameter), "%s=%s", name, value);
    return curl_url_set(url, CURLUPART_QUERY, parameter, CURLU_APPENDQUERY | CURLU_URLENCODE)
           == CURLUE_OK;
}

/* Set the parameters of https://developer.hashicorp.com/consul/api-docs/features/blocking */
static int set_blocking(CURLU *url, const consul_request *request)
{
    char index[32], wait[32];

    snprintf(index, sizeof(index), "%" PRIu64, request->index);
    /* For a wait of less than a microsecond, the agent takes its default of ten minutes. */
    if (request->wait == 0)
        strcpy(wait, "1us");
    else
        snprintf(wait, sizeof(wait), "%" PRId64 "ms", request->wait);
    return (request->index == 0 || set_parameter(url, "index", index))
           && set_parameter(url, "wait", wait);
}

CURLU *consul_url_make(const consul_agent *agent, const consul_request *request)
{
    const consul_scope *scope = request->scope;
    CURLU *url = curl_url();

    if (url != NULL && curl_url_set(url, CURLUPART_URL, agent->address.base, 0) == CURLUE_OK
        && set_path(url, request)
        && (scope == NULL
            || (set_parameter(url, "dc", scope->dc) && set_parameter(url, "ns", scope->ns)
                && set_parameter(url, "partition", scope->partition)))
        && (request->destination == NULL
            || (set_parameter(url, "by", "destination")
                && set_parameter(url, "name", request->destination)))
        && (!request->stale
            || curl_url_set(url, CURLUPART_QUERY, "stale", CURLU_APPENDQUERY) == CURLUE_OK)
        && ((request->wait == 0 && request->index == 0) || set_blocking(url, request)))
        return url;
    curl_url_cleanup(url);
    return NULL;
}

void consul_url_describe(CURLU *url, const consul_agent *agent, const consul_request *request,
                         char source[CONSUL_URI_MAX])
{
    char *text = NULL;

    curl_url_get(url, CURLUPART_URL, &text, 0);
    snprintf(source, CONSUL_URI_MAX, "%s %s%s%s",
             request->writes         ? "PUT"
             : request->body == NULL ? "GET"
                                     : "POST",
             text == NULL ? agent->address.base : text,
             agent->address.socket_path != NULL  ? " at unix://"
             : agent->address.connect_to != NULL ? " at "
                                                 : "",
             agent->address.socket_path != NULL  ? agent->address.socket_path
             : agent->address.connect_to != NULL ? agent->address.connect_to + 2
                                                 : "");
    curl_free(text);
}
