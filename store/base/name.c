/* SPDX-License-Identifier: Apache-2.0 */
#include "base/name.h"

#include <string.h>

#define LABEL_MAX 63 /* RFC 1035 2.3.4 */

int consul_name_check(const char *what, const char *name, int reason, consul_error *err)
{
    size_t len = strlen(name);

    if (len == 0)
        return consul_error_set(err, reason, "%s is empty", what);
    if (len > CONSUL_NAME_MAX)
        return consul_error_set(err, reason, "%s is longer than %d bytes", what, CONSUL_NAME_MAX);
    /* As segments of an HTTP path, these two lead to another path. */
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return consul_error_set(err, reason, "%s may not be \"%s\"", what, name);
    for (; *name != '\0'; name++) {
        if ((unsigned char)*name < 0x20 || *name == 0x7f)
            return consul_error_set(err, reason, "%s has a control character in it", what);
    }
    return 1;
}

const char *consul_name_show(const void *bytes, size_t len, char *shown, size_t size)
{
    const unsigned char *data = bytes;
    size_t i;

    for (i = 0; i < len && i + 1 < size; i++) {
        /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): a NUL is not printable */
        bool is_plain = data[i] > 0x1f && data[i] < 0x7f && memchr("\"[]\\", data[i], 4) == NULL;

        shown[i] = is_plain ? (char)data[i] : '?';
    }
    shown[i] = '\0';
    return shown;
}

char consul_lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

void consul_lower_case(char *text)
{
    for (; *text != '\0'; text++)
        *text = consul_lower(*text);
}

bool consul_host_is_valid(const char *host)
{
    const char *label = host;
    size_t len;

    if (strlen(host) > CONSUL_HOST_MAX)
        return false;
    for (;;) {
        len = strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-_");
        if (len == 0 || len > LABEL_MAX)
            return false;
        if (label[len] == '\0')
            return strspn(label, "0123456789") < len;
        if (label[len] != '.')
            return false;
        label += len + 1;
    }
}

const unsigned char *consul_find_word(const unsigned char *data, size_t len, const char *word)
{
    size_t word_len = strlen(word), i;

    for (; len >= word_len; data++, len--) {
        for (i = 0; i < word_len && consul_lower((char)data[i]) == word[i]; i++)
            ;
        if (i == word_len)
            return data;
    }
    return NULL;
}
