/* SPDX-License-Identifier: Apache-2.0 */
#include "check/starttls.h"

#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PATIENCE_MS 10000
#define BYTES_MAX 4096 /* of the server, in all */
#define LINE_MAX_BYTES 512
#define STEPS 3

const char cli_starttls_names[] = "postgres, mysql, smtp, lmtp, imap, pop3, ftp, nntp, sieve";

typedef struct dialog {
    int fd;
    consul_deadline end;
    size_t left; /* bytes that the server may still send */
    char *why;
} dialog;

/* Read so many bytes, and none of TLS behind them. Return false with a reason. */
static bool read_bytes(dialog *d, void *data, size_t size)
{
    unsigned char *at = data;

    while (size > 0) {
        struct pollfd ready = {.fd = d->fd, .events = POLLIN};
        int64_t wait = d->end - consul_now_ms();
        ssize_t got = -1;

        if (wait <= 0 || poll(&ready, 1, (int)wait) == 0) {
            snprintf(d->why, CLI_STARTTLS_WHY, "it does not answer in time");
            return false;
        }
        if (d->left < size || (got = recv(d->fd, at, size, 0)) <= 0) {
            snprintf(d->why, CLI_STARTTLS_WHY, "%s",
                     got == 0         ? "it has closed the connection"
                     : d->left < size ? "it says too much"
                                      : strerror(errno));
            return false;
        }
        at += got;
        size -= (size_t)got;
        d->left -= (size_t)got;
    }
    return true;
}

static bool send_bytes(dialog *d, const void *data, size_t size)
{
    if (send(d->fd, data, size, MSG_NOSIGNAL) == (ssize_t)size)
        return true;
    snprintf(d->why, CLI_STARTTLS_WHY, "it cannot be written to: %s", strerror(errno));
    return false;
}

/* ---- protocols with lines ---- */

/* Read a line without its end. Bytes that are not printable are shown as `?`. */
static bool read_line(dialog *d, char line[LINE_MAX_BYTES])
{
    size_t len = 0;
    char byte;

    while (read_bytes(d, &byte, 1)) {
        if (byte == '\n') {
            line[len] = '\0';
            return true;
        }
        if (byte != '\r' && len + 1 < LINE_MAX_BYTES)
            line[len++] = (unsigned char)byte < 0x20 || (unsigned char)byte > 0x7e ? '?' : byte;
    }
    return false;
}

/* Return true for a line with another line after it: a code with a hyphen, or a capability. */
static bool goes_on(const char *line)
{
    return (isdigit((unsigned char)line[0]) && strlen(line) > 3 && line[3] == '-') || line[0] == '*'
           || line[0] == '"';
}

/* The words of the client, and the begin of the server's answer for its consent. */
typedef struct step {
    const char *say, *answer;
} step;

static bool talk(dialog *d, const step *steps)
{
    char line[LINE_MAX_BYTES] = "";
    size_t i;

    for (i = 0; i < STEPS && steps[i].answer != NULL; i++) {
        const step *s = &steps[i];

        if (s->say != NULL && !send_bytes(d, s->say, strlen(s->say)))
            return false;
        do {
            if (!read_line(d, line))
                return false;
        } while (strncmp(line, s->answer, strlen(s->answer)) != 0 && goes_on(line));
        if (strncmp(line, s->answer, strlen(s->answer)) != 0) {
            snprintf(d->why, CLI_STARTTLS_WHY, "it answers \"%.200s\"", line);
            return false;
        }
    }
    return true;
}

/* ---- protocols with packets ---- */

/* https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL */
static bool begin_postgres(dialog *d)
{
    static const unsigned char request[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
    char answer;

    if (!send_bytes(d, request, sizeof(request)) || !read_bytes(d, &answer, 1))
        return false;
    if (answer != 'S')
        snprintf(d->why, CLI_STARTTLS_WHY, "%s",
                 answer == 'N' ? "its TLS is off (ssl = off)" : "it is no PostgreSQL");
    return answer == 'S';
}

/* https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets.html */
static bool begin_mysql(dialog *d)
{
    static const unsigned char request[36] = {32, 0, 0, 1, 0x85, 0xae, 0x7f, 0, 0, 0, 0, 1, 33};
    unsigned char packet[BYTES_MAX] = {0};
    size_t len, end;

    if (!read_bytes(d, packet, 4))
        return false;
    len = packet[0] | (size_t)packet[1] << 8 | (size_t)packet[2] << 16;
    if (!read_bytes(d, packet, len))
        return false;
    end = strnlen((const char *)packet, len);
    /* The version, a number of four bytes, eight of the salt and a zero; then the capabilities. */
    if (packet[0] != 10 || end + 16 > len) {
        snprintf(d->why, CLI_STARTTLS_WHY, "it is no MySQL or MariaDB, or lets no client in");
        return false;
    }
    if ((packet[end + 15] & 0x08) == 0) {
        snprintf(d->why, CLI_STARTTLS_WHY, "its TLS is off");
        return false;
    }
    return send_bytes(d, request, sizeof(request));
}

/* ---- all of them ---- */

/* A protocol with packets has a function, and one with lines has steps. */
static const struct protocol {
    const char *name;
    bool (*begin)(dialog *d);
    step steps[STEPS];
} protocols[] = {
    {"postgres", begin_postgres, {{NULL, NULL}}},
    {"mysql", begin_mysql, {{NULL, NULL}}},
    {"smtp", NULL, {{NULL, "220 "}, {"EHLO localhost\r\n", "250 "}, {"STARTTLS\r\n", "220"}}},
    {"lmtp", NULL, {{NULL, "220 "}, {"LHLO localhost\r\n", "250 "}, {"STARTTLS\r\n", "220"}}},
    {"imap", NULL, {{NULL, "* OK"}, {"a STARTTLS\r\n", "a OK"}}},
    {"pop3", NULL, {{NULL, "+OK"}, {"STLS\r\n", "+OK"}}},
    {"ftp", NULL, {{NULL, "220 "}, {"AUTH TLS\r\n", "234"}}},
    {"nntp", NULL, {{NULL, "20"}, {"STARTTLS\r\n", "382"}}},
    {"sieve", NULL, {{NULL, "OK"}, {"STARTTLS\r\n", "OK"}}},
};

static const struct protocol *find(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (strcmp(protocols[i].name, name) == 0)
            return &protocols[i];
    }
    return NULL;
}

bool cli_starttls_knows(const char *protocol)
{
    return find(protocol) != NULL;
}

bool cli_starttls_begin(int fd, const char *protocol, char why[CLI_STARTTLS_WHY])
{
    dialog d = {.fd = fd, .end = consul_deadline_after(PATIENCE_MS), .left = BYTES_MAX, .why = why};
    const struct protocol *p = find(protocol);

    if (p == NULL) {
        snprintf(why, CLI_STARTTLS_WHY, "the protocol is unknown");
        return false;
    }
    return p->begin == NULL ? talk(&d, p->steps) : p->begin(&d);
}
