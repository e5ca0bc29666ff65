/* SPDX-License-Identifier: Apache-2.0 */
/* The URL of a request. The caller owns the URL. Pure functions, for any thread. */
#ifndef CONSUL_AGENT_URL_H
#define CONSUL_AGENT_URL_H

#include "agent/request.h"
#include <curl/curl.h>

/* Return the URL of a request, for curl_url_cleanup. Return NULL without memory. */
CURLU *consul_url_make(const consul_agent *agent, const consul_request *request);

/* Write "GET http://…" for error texts, without the token. */
void consul_url_describe(CURLU *url, const consul_agent *agent, const consul_request *request,
                         char source[CONSUL_URI_MAX]);

#endif
