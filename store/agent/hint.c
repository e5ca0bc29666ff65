/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/hint.h"

#include "agent/outcome.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool says(const consul_exchange *x, const char *words)
{
    return x->body.data != NULL && strstr(x->body.data, words) != NULL;
}

/* ---- an answer that is no success ---- */

/* Name the part of a login that Consul does not take. */
static void write_login(const consul_exchange *x, long status, char hint[CONSUL_HINT_MAX])
{
    const char *method = x->agent->settings->login_method;
    const char *file = x->agent->settings->login_bearer_file;

    if (status == 401)
        strcpy(hint, " (ACLs are off in Consul; take login_method out)");
    else if (status == 403 && says(x, "ACL not found"))
        snprintf(hint, CONSUL_HINT_MAX, " (Consul has no auth method \"%s\"; see login_method)",
                 method);
    else if (status == 403)
        snprintf(hint, CONSUL_HINT_MAX,
                 " (no binding rule of the auth method \"%s\" fits the JWT of \"%.200s\")", method,
                 file);
    else
        snprintf(hint, CONSUL_HINT_MAX,
                 " (the auth method \"%s\" has not taken the JWT of login_bearer_file \"%.200s\")",
                 method, file);
}

static void write_refusal(const consul_exchange *x, char hint[CONSUL_HINT_MAX])
{
    static const char wanted[] = "service:write on the service, with intentions:read";
    const consul_settings *settings = x->agent->settings;

    if (says(x, "Endpoint is blocked"))
        strcpy(hint, " (http_config.block_endpoints of the agent has this path; take it out)");
    else if (says(x, "Access is restricted"))
        strcpy(hint, " (http_config.allow_write_http_from of the agent lacks this host's address)");
    else if (x->logs_in)
        write_login(x, 403, hint);
    else if (x->token == CONSUL_TOKEN_OF_LOGIN && says(x, "ACL not found"))
        snprintf(hint, CONSUL_HINT_MAX,
                 " (the token of the auth method \"%s\" has ended, or was deleted)",
                 settings->login_method);
    else if (x->token == CONSUL_TOKEN_OF_LOGIN)
        snprintf(hint, CONSUL_HINT_MAX,
                 " (the token of the auth method \"%s\" needs %s; see its binding rules)",
                 settings->login_method, wanted);
    else if (x->token == CONSUL_TOKEN_SENT)
        snprintf(hint, CONSUL_HINT_MAX, " (the ACL token needs %s)", wanted);
    else if (x->token == CONSUL_TOKEN_FILE_EMPTY)
        snprintf(hint, CONSUL_HINT_MAX,
                 " (token_file \"%.200s\" is empty, and no ACL token was sent; it needs %s)",
                 settings->token_file, wanted);
    else
        snprintf(hint, CONSUL_HINT_MAX,
                 " (no ACL token was sent; set token_file, for a token with %s)", wanted);
}

static void write_status(const consul_exchange *x, long status, char hint[CONSUL_HINT_MAX])
{
    if (status == 403)
        write_refusal(x, hint);
    else if ((status == 429 || status == 503) && says(x, "rate limit"))
        strcpy(hint, " (see limits.request_limits of Consul's servers; no token changes this)");
    else if (status == 429)
        strcpy(hint, " (see limits.rpc_rate of the agent, csr_max_per_second of the CA)");
    else if (status == 400 && says(x, "HTTP request to an HTTPS server"))
        strcpy(hint, " (the agent speaks HTTPS there; write https:// in address)");
    else if (x->logs_in && status != 400)
        write_login(x, status, hint);
}

/* ---- TLS ---- */

/* Name the CAs that the agent's certificate was verified with. */
static void write_untrusted(const consul_exchange *x, char hint[CONSUL_HINT_MAX])
{
    const consul_settings *settings = x->agent->settings;

    if (*x->untrusted == '\0')
        strcpy(hint, " (set tls_server_name to a name of the agent's certificate)");
    else if (settings->ca_file == NULL && settings->ca_path == NULL)
        snprintf(hint, CONSUL_HINT_MAX,
                 " (%s; ca_file is not set, and so the CAs are the system's)", x->untrusted);
    else
        snprintf(hint, CONSUL_HINT_MAX, " (%s; the CAs are those of %s \"%.100s\")", x->untrusted,
                 settings->ca_file != NULL ? "ca_file" : "ca_path",
                 settings->ca_file != NULL ? settings->ca_file : settings->ca_path);
}

/* Name the first file that cannot be read, with the reason. */
static void write_files(const consul_exchange *x, char hint[CONSUL_HINT_MAX])
{
    const consul_settings *settings = x->agent->settings;
    const struct {
        const char *name, *path;
    } files[] = {{"ca_file", settings->ca_file},
                 {"client_cert", settings->client_cert},
                 {"client_key", settings->client_key}};
    size_t i;

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (files[i].path != NULL && access(files[i].path, R_OK) != 0) {
            snprintf(hint, CONSUL_HINT_MAX, " (%s \"%.200s\": %s)", files[i].name, files[i].path,
                     strerror(errno));
            return;
        }
    }
    strcpy(hint, " (the file can be read, and is no PEM of that kind)");
}

static void write_code(const consul_exchange *x, CURLcode code, char hint[CONSUL_HINT_MAX])
{
    if (code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CERTPROBLEM)
        write_files(x, hint);
    else if (code == CURLE_PEER_FAILED_VERIFICATION)
        write_untrusted(x, hint);
    else if (code == CURLE_SSL_CONNECT_ERROR
             && strstr(x->curl_text, "wrong version number") != NULL)
        strcpy(hint, " (the agent speaks plain HTTP there; write http:// in address, and no tls)");
    else if (strstr(x->curl_text, "certificate required") != NULL
             || strstr(x->curl_text, "bad certificate") != NULL)
        strcpy(hint, " (the agent wants another certificate of ours; see client_cert, client_key)");
    else if (code != CURLE_SSL_CONNECT_ERROR && consul_exchange_was_crowded_out(x, code))
        strcpy(
            hint,
            " (the agent has closed the connection at once; it may have too many of this host, see its "
            "limits.http_max_conns_per_client)");
}

void consul_hint_write(const consul_exchange *x, CURLcode code, long status,
                       char hint[CONSUL_HINT_MAX])
{
    *hint = '\0';
    if (code == CURLE_OK)
        write_status(x, status, hint);
    else
        write_code(x, code, hint);
}
