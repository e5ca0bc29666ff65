/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Make a text one printable line. Text from agents and peers ends up in logs. */
static void make_printable(char *text)
{
    size_t len = strlen(text);

    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' '))
        text[--len] = '\0';
    for (; *text != '\0'; text++) {
        if (*text == '\n' || *text == '\r' || *text == '\t')
            *text = ' ';
        else if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            *text = '?';
    }
}

int consul_error_set(consul_error *err, int reason, const char *format, ...)
{
    va_list args;

    if (err == NULL || err->reason != 0)
        return 0;
    err->reason = reason;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    make_printable(err->text);
    return 0;
}

int consul_error_copy(consul_error *err, const consul_error *other)
{
    if (err != NULL && err->reason == 0)
        *err = *other;
    return 0;
}

int consul_error_prefix(consul_error *err, const char *format, ...)
{
    char text[CONSUL_ERROR_TEXT_MAX];
    size_t len;
    va_list args;

    if (err == NULL || err->reason == 0)
        return 0;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    len = strlen(text);
    snprintf(text + len, sizeof(text) - len, "%s", err->text);
    memcpy(err->text, text, sizeof(text));
    make_printable(err->text);
    return 0;
}

const char *consul_reason_text(int reason)
{
    static const char *const texts[CONSUL_R_END - CONSUL_R_OUT_OF_MEMORY] = {
#define TEXT(name, text) [CONSUL_R_##name - CONSUL_R_OUT_OF_MEMORY] = text
        TEXT(OUT_OF_MEMORY, "out of memory"),
        TEXT(INTERNAL, "internal error"),
        TEXT(SETTING_INVALID, "invalid setting"),
        TEXT(URI_INVALID, "invalid consul URI"),
        TEXT(AGENT_UNREACHABLE, "Consul agent unreachable"),
        TEXT(AGENT_TIMEOUT, "Consul agent did not answer in time"),
        TEXT(AGENT_REFUSED, "Consul agent refused the request"),
        TEXT(AGENT_ANSWER_INVALID, "Consul agent gave an invalid answer"),
        TEXT(OWN_IDENTITY_INVALID, "own certificate is not a usable Connect leaf"),
        TEXT(PEER_CERTIFICATE_MISSING, "peer presented no certificate"),
        TEXT(PEER_UNTRUSTED, "peer certificate is not trusted by the Consul roots"),
        TEXT(PEER_NOT_A_SERVICE, "peer is not a Connect service"),
        TEXT(PEER_NAME_MISMATCH, "peer is not the host that was asked for"),
        TEXT(PEER_DENIED, "peer denied by Consul"),
        TEXT(PEER_REFUSED_BY_APPLICATION, "peer refused by the application"),
        TEXT(NOT_AUTHORIZED, "peer was not verified by Consul Connect"),
        TEXT(NOT_ACTIVE, "the consul provider is not active"),
        TEXT(HANDSHAKE_FAILED, "handshake failed"),
#undef TEXT
    };

    if (reason < CONSUL_R_OUT_OF_MEMORY || reason >= CONSUL_R_END)
        return "unknown error";
    return texts[reason - CONSUL_R_OUT_OF_MEMORY];
}
