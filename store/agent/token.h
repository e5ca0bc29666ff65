/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACL token and other header lines of a request. Lists belong to the caller. Any thread.
 * https://developer.hashicorp.com/consul/api-docs#authentication
 */
#ifndef CONSUL_AGENT_TOKEN_H
#define CONSUL_AGENT_TOKEN_H

#include "base/settings.h"
#include <curl/curl.h>

enum consul_token {
    CONSUL_TOKEN_NONE,
    CONSUL_TOKEN_FILE_EMPTY, /* token_file has no word in it, and the setting token has no value */
    CONSUL_TOKEN_SENT
};

/*
 * Append the header with the ACL token, if the settings have it, and set `*kind` to its source. Return 0 with an error where
 * token_file cannot be read or has no valid token.
 */
int consul_append_token(const consul_settings *settings, struct curl_slist **headers,
                        enum consul_token *kind, consul_error *err);

/* Append one line. Return 0 without memory. */
int consul_append_header(struct curl_slist **headers, const char *line);

#endif
