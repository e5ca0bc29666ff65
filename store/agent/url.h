/* The URL of a request. Any thread. */
#ifndef CONSUL_AGENT_URL_H
#define CONSUL_AGENT_URL_H

#include "agent/request.h"
#include <curl/curl.h>

/* Return the URL of a request, to be freed with curl_url_cleanup; NULL without memory. */
CURLU *consul_url_make(const consul_agent *agent, const consul_request *request);

/* Write "GET http://…", for messages; never with a token. */
void consul_url_describe(CURLU *url, const consul_agent *agent, const consul_request *request,
                         char source[CONSUL_URI_MAX]);

#endif
