/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/token.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#define TOKEN_MAX 4096 /* bytes of a token file */

/* Read a file of at most `max` bytes. Return its length, or -1 with an error. */
static long read_file(const char *setting, const char *path, char *text, size_t max,
                      consul_error *err)
{
    const char *why;
    FILE *file = consul_file_open(path, &why);
    size_t len;
    int failed;

    if (file == NULL) {
        consul_error_set(err, CONSUL_R_SETTING_INVALID, "%s \"%s\" cannot be opened: %s", setting,
                         path, why);
        return -1;
    }
    setvbuf(file, NULL, _IONBF, 0); /* stdio keeps no copy of the text then */
    len = fread(text, 1, max + 1, file);
    failed = ferror(file);
    fclose(file);
    if (!failed && len <= max)
        return (long)len;
    consul_error_set(err, CONSUL_R_SETTING_INVALID,
                     "%s \"%s\" cannot be read or is longer than %zu bytes", setting, path, max);
    return -1;
}

int consul_token_read_word(const char *setting, const char *path, char *word, size_t max,
                           consul_error *err)
{
    long len = read_file(setting, path, word, max, err);
    char *start = word, *p;

    if (len < 0)
        return 0;
    word[len] = '\0';
    while (len > 0 && strchr(" \t\r\n", word[len - 1]) != NULL)
        word[--len] = '\0';
    start += strspn(start, " \t\r\n");
    memmove(word, start, strlen(start) + 1);
    for (p = word; *p != '\0'; p++) {
        if ((unsigned char)*p <= 0x20 || *p == 0x7f)
            return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                    "%s \"%s\" holds more than one word", setting, path);
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

/*
 * Find the token to send. `place` has room for it. Return NULL without a token. `*kind` becomes its source. A
 * failure is an error in `err`.
 */
static const char *find_token(const consul_agent *agent, const char *given,
                              char place[TOKEN_MAX + 1], enum consul_token *kind, consul_error *err)
{
    const consul_settings *settings = agent->settings;

    *kind = CONSUL_TOKEN_OF_LOGIN;
    if (given != NULL)
        return given;
    if (agent->login != NULL)
        return consul_shared_token_get(agent->login, place) == 0 ? NULL : place;
    *kind = settings->token_file != NULL ? CONSUL_TOKEN_FILE_EMPTY : CONSUL_TOKEN_NONE;
    if (settings->token_file != NULL
        && !consul_token_read_word("token_file", settings->token_file, place, TOKEN_MAX, err))
        return NULL;
    if (place[0] == '\0' && settings->token == NULL)
        return NULL;
    *kind = CONSUL_TOKEN_SENT;
    return place[0] != '\0' ? place : settings->token;
}

static int append_token_line(const consul_agent *agent, const char *given,
                             char token[TOKEN_MAX + 1], char line[TOKEN_MAX + 32],
                             struct curl_slist **headers, enum consul_token *kind,
                             consul_error *err)
{
    consul_error why = {0};
    const char *value = find_token(agent, given, token, kind, &why);

    if (value == NULL)
        return why.reason == 0 ? 1 : consul_error_copy(err, &why);
    if (snprintf(line, TOKEN_MAX + 32, "X-Consul-Token: %s", value) >= TOKEN_MAX + 32)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID, "token is too long");
    return consul_append_header(headers, line)
           || consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a request");
}

/* Build the line in heap memory. The stack of an OpenSSL ASYNC job has only 32 kB. */
int consul_append_token(const consul_agent *agent, const char *given, struct curl_slist **headers,
                        enum consul_token *kind, consul_error *err)
{
    char *token = OPENSSL_zalloc(TOKEN_MAX + 1), *line = OPENSSL_zalloc(TOKEN_MAX + 32);
    int ok = 0;

    if (token == NULL || line == NULL)
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a request");
    else
        ok = append_token_line(agent, given, token, line, headers, kind, err);
    OPENSSL_clear_free(token, TOKEN_MAX + 1);
    OPENSSL_clear_free(line, TOKEN_MAX + 32);
    return ok;
}
