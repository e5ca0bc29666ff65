/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/token.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#define TOKEN_MAX 4096 /* bytes of a token file */

/* Read token_file into `token`, without white space around it. An empty file gives "". */
static int read_token_file(const char *path, char token[TOKEN_MAX + 1], consul_error *err)
{
    FILE *file = fopen(path, "re");
    char *start = token, *p;
    size_t len;

    if (file == NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID, "token_file \"%s\": %s", path,
                                strerror(errno));
    setvbuf(file, NULL, _IONBF, 0); /* stdio keeps no copy of the token then */
    len = fread(token, 1, TOKEN_MAX + 1, file);
    if (ferror(file) || len > TOKEN_MAX) {
        fclose(file);
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "token_file \"%s\" cannot be read or is longer than %d bytes", path,
                                TOKEN_MAX);
    }
    fclose(file);
    token[len] = '\0';
    while (len > 0 && strchr(" \t\r\n", token[len - 1]) != NULL)
        token[--len] = '\0';
    start += strspn(start, " \t\r\n");
    memmove(token, start, strlen(start) + 1);
    for (p = token; *p != '\0'; p++) {
        if ((unsigned char)*p <= 0x20 || *p == 0x7f)
            return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                    "token_file \"%s\" holds more than one word", path);
    }
    return 1;
}

int consul_append_header(struct curl_slist **headers, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*headers, line);

    if (longer == NULL)
        return 0;
    *headers = longer;
    return 1;
}

static int append_token_line(const consul_settings *settings, char token[TOKEN_MAX + 1],
                             char line[TOKEN_MAX + 32], struct curl_slist **headers,
                             enum consul_token *kind, consul_error *err)
{
    const char *value;

    if (settings->token_file != NULL && !read_token_file(settings->token_file, token, err))
        return 0;
    value = token[0] != '\0' ? token : settings->token;
    *kind = settings->token_file != NULL ? CONSUL_TOKEN_FILE_EMPTY : CONSUL_TOKEN_NONE;
    if (value == NULL)
        return 1;
    *kind = CONSUL_TOKEN_SENT;
    if (snprintf(line, TOKEN_MAX + 32, "X-Consul-Token: %s", value) >= TOKEN_MAX + 32)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID, "token is too long");
    return consul_append_header(headers, line)
           || consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a request");
}

/* Build the line in heap memory. The stack of an OpenSSL ASYNC job has only 32 kB. */
int consul_append_token(const consul_settings *settings, struct curl_slist **headers,
                        enum consul_token *kind, consul_error *err)
{
    char *token = OPENSSL_zalloc(TOKEN_MAX + 1), *line = OPENSSL_zalloc(TOKEN_MAX + 32);
    int ok = 0;

    if (token == NULL || line == NULL)
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a request");
    else
        ok = append_token_line(settings, token, line, headers, kind, err);
    OPENSSL_clear_free(token, TOKEN_MAX + 1);
    OPENSSL_clear_free(line, TOKEN_MAX + 32);
    return ok;
}
