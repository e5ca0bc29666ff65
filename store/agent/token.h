/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACL token and other header lines of a request. Lists belong to the caller. Any thread.
 * https://developer.hashicorp.com/consul/api-docs#authentication
 */
#ifndef CONSUL_AGENT_TOKEN_H
#define CONSUL_AGENT_TOKEN_H

#include "agent/agent.h"
#include <curl/curl.h>

enum consul_token {
    CONSUL_TOKEN_NONE,
    CONSUL_TOKEN_FILE_EMPTY, /* token_file has no word in it, and the setting token has no value */
    CONSUL_TOKEN_SENT,
    CONSUL_TOKEN_OF_LOGIN /* the token of a login, or none where there is no login yet */
};

/*
 * Append the header with the ACL token, if there is one, and set `*kind` to its source. `given` is the token to
 * send, or NULL for the agent's. Return 0 with an error where token_file cannot be read or has no valid token.
 */
int consul_append_token(const consul_agent *agent, const char *given, struct curl_slist **headers,
                        enum consul_token *kind, consul_error *err);

/*
 * Read the one word of a file, without white space around it. `word` has place for `max` + 1 bytes. An
 * empty file gives "". Return 0 with an error that names the setting.
 */
int consul_token_read_word(const char *setting, const char *path, char *word, size_t max,
                           consul_error *err);

/* Append one line. Return 0 without memory. */
int consul_append_header(struct curl_slist **headers, const char *line);

#endif
