/* SPDX-License-Identifier: Apache-2.0 */
#include "report/line.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define FIELD_MAX 400 /* bytes of one escaped value but for the message, which has what is left */
#define END_MAX 8     /* bytes of the end of a line */

typedef struct line {
    char *text;
    size_t len;
} line;

/* Append text of our own. It is cut before the room for the end of the line. */
static void append(line *l, const char *text)
{
    for (; *text != '\0' && l->len < PROV_LINE_MAX - END_MAX; text++)
        l->text[l->len++] = *text;
}

/* Append text from outside: a certificate, an agent or the name of the program may say anything. */
static void append_printable(line *l, const char *text)
{
    for (; *text != '\0' && l->len < PROV_LINE_MAX - END_MAX; text++)
        l->text[l->len++] =
            (char)((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e ? '?' : *text);
}

/* Append a name from outside. It has no bracket and no comma, by which a part of the line could be imitated. */
static void append_name(line *l, const char *text)
{
    for (; *text != '\0' && l->len < PROV_LINE_MAX - END_MAX; text++)
        l->text[l->len++] = (unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e
                                    || strchr("\"[],\\", *text) != NULL
                                ? '?'
                                : *text;
}

/* Append the inside of a JSON string, RFC 8259 7, in `most` bytes at most. */
static void append_escaped(line *l, const char *text, size_t most)
{
    size_t end = most < PROV_LINE_MAX - END_MAX - l->len ? l->len + most : PROV_LINE_MAX - END_MAX;
    char escaped[8];

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            snprintf(escaped, sizeof(escaped), "\\%c", c);
        else if (c < 0x20 || c > 0x7e)
            snprintf(escaped, sizeof(escaped), "\\u%04x", c);
        else
            snprintf(escaped, sizeof(escaped), "%c", c);
        if (l->len + strlen(escaped) > end)
            return;
        append(l, escaped);
    }
}

static const char *level_name(enum consul_log_level level)
{
    static const char *const names[] = {
        [CONSUL_LOG_ERROR] = "error",
        [CONSUL_LOG_WARNING] = "warning",
        [CONSUL_LOG_INFO] = "info",
        [CONSUL_LOG_DEBUG] = "debug",
    };

    return names[level];
}

static int syslog_priority(enum consul_log_level level)
{
    static const int priorities[] = {
        [CONSUL_LOG_ERROR] = LOG_ERR,
        [CONSUL_LOG_WARNING] = LOG_WARNING,
        [CONSUL_LOG_INFO] = LOG_INFO,
        [CONSUL_LOG_DEBUG] = LOG_DEBUG,
    };

    return LOG_DAEMON | priorities[level];
}

/* ---- JSON ---- */

/* The fields that are members of a record, in their order. The message is the last, as it has the rest. */
static const size_t members[] = {
    offsetof(prov_record, event),         offsetof(prov_record, reason),
    offsetof(prov_record, role),          offsetof(prov_record, service),
    offsetof(prov_record, peer),          offsetof(prov_record, name),
    offsetof(prov_record, serial),        offsetof(prov_record, fingerprint),
    offsetof(prov_record, client_random), offsetof(prov_record, valid_until),
    offsetof(prov_record, verdict),       offsetof(prov_record, address),
    offsetof(prov_record, port),          offsetof(prov_record, local_address),
    offsetof(prov_record, local_port),    offsetof(prov_record, message),
};

#define FIRST_MEMBER 4 /* of the names: those before it are no members */

const char *const prov_line_fields[] = {
    "time",    "level",   "program", "pid",           "event",       "reason",        "role",
    "service", "peer",    "name",    "serial",        "fingerprint", "client_random", "valid_until",
    "verdict", "address", "port",    "local_address", "local_port",  "message",       NULL,
};

/* Append a field, if its name fits. The room for the end of the line has the closing quote. */
static void append_field(line *l, const char *name, const char *value, size_t most)
{
    if (l->len + strlen(name) + END_MAX > PROV_LINE_MAX - END_MAX)
        return;
    append(l, l->text[l->len - 1] == '{' ? "\"" : ",\"");
    append(l, name);
    append(l, "\":\"");
    append_escaped(l, value, most);
    l->text[l->len++] = '"';
}

static void append_json(line *l, const prov_record *record, const prov_line_form *form)
{
    char when[CONSUL_TIME_MAX], pid[32];
    size_t i;

    consul_time_text(form->now, when);
    snprintf(pid, sizeof(pid), ",\"pid\":%d", form->pid);
    append(l, "{");
    append_field(l, "time", when, FIELD_MAX);
    append_field(l, "level", level_name(record->level), FIELD_MAX);
    append_field(l, "program", form->program, FIELD_MAX);
    append(l, pid);
    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const char *value = *(const char *const *)((const char *)record + members[i]);
        bool is_last = i == sizeof(members) / sizeof(members[0]) - 1;

        if (value != NULL)
            append_field(l, prov_line_fields[FIRST_MEMBER + i], value,
                         is_last ? PROV_LINE_MAX : FIELD_MAX);
    }
    l->text[l->len++] = '}';
}

/* ---- text ---- */

static void append_text(line *l, const prov_record *record)
{
    if (record->reason != NULL) {
        append_printable(l, record->reason);
        append(l, ": ");
    }
    append_printable(l, record->message);
    if (record->service == NULL)
        return;
    append(l, " [service ");
    append_name(l, record->service);
    if (record->name != NULL) {
        append(l, ", name ");
        append_name(l, record->name);
    }
    if (record->address != NULL && record->port != NULL) {
        append(l, ", peer ");
        append_name(l, record->address);
        append(l, " port ");
        append_name(l, record->port);
    }
    append(l, "]");
}

/* Begin the line with its time, or its priority for syslog, and the program. */
static void append_head(line *l, const prov_record *record, const prov_line_form *form)
{
    char text[CONSUL_TIME_MAX + 16];

    if (form->is_for_syslog) {
        snprintf(text, sizeof(text), "<%d>", syslog_priority(record->level));
        append(l, text);
    } else {
        consul_time_text(form->now, text);
        append(l, text);
        append(l, " ");
    }
    append_name(l, form->program);
    snprintf(text, sizeof(text), "[%d]: ", form->pid);
    append(l, text);
}

size_t prov_line_write(char text[PROV_LINE_MAX], const prov_record *record,
                       const prov_line_form *form)
{
    line l = {.text = text};

    if (form->format == CONSUL_LOG_TEXT || form->is_for_syslog)
        append_head(&l, record, form);
    if (form->format == CONSUL_LOG_JSON) {
        append_json(&l, record, form);
    } else {
        append(&l, "consul: ");
        append_text(&l, record);
    }
    if (!form->is_for_syslog)
        l.text[l.len++] = '\n';
    return l.len;
}
