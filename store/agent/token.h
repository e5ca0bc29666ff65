/* The ACL token and other header lines of a request. */
#ifndef CONSUL_AGENT_TOKEN_H
#define CONSUL_AGENT_TOKEN_H

#include "base/settings.h"
#include <curl/curl.h>

/* Append the header with the ACL token, if there is one. */
int consul_append_token(const consul_settings *settings, struct curl_slist **headers,
                        consul_error *err);

/* Append one line; 0 without memory. */
int consul_append_header(struct curl_slist **headers, const char *line);

#endif
