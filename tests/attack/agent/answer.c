/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG_LINE (1 << 20)
#define LINES 2000

/* ---- the head ---- */

static void add_line(bytes *out, const char *format, long long value)
{
    char line[128];

    snprintf(line, sizeof(line), "%s%lld\r\n", format, value);
    bytes_add_text(out, line);
}

static void write_length(enum frame how, size_t len, bytes *out)
{
    if (how == FRAME_LENGTH || how == FRAME_TWICE || how == FRAME_CHUNKED_LENGTH
        || how == FRAME_GZIP || how == FRAME_UNKNOWN)
        add_line(out, "Content-Length: ", (long long)len);
    if (how == FRAME_TWICE)
        add_line(out, "Content-Length: ", (long long)len + 7);
    if (how == FRAME_LONG)
        add_line(out, "Content-Length: ", (long long)len + 1000);
    if (how == FRAME_SHORT)
        add_line(out, "Content-Length: ", (long long)len / 2);
    if (how == FRAME_NEGATIVE)
        add_line(out, "Content-Length: ", -1);
    if (how == FRAME_HUGE)
        bytes_add_text(out, "Content-Length: 99999999999999999999\r\n");
    if (how == FRAME_TEXT)
        bytes_add_text(out, "Content-Length: all\r\n");
    if (how >= FRAME_CHUNKED && how <= FRAME_CHUNKED_LENGTH)
        bytes_add_text(out, "Transfer-Encoding: chunked\r\n");
    if (how == FRAME_GZIP)
        bytes_add_text(out, "Content-Encoding: gzip\r\n");
    if (how == FRAME_UNKNOWN)
        bytes_add_text(out, "Transfer-Encoding: sdch\r\n");
}

static void write_index(enum index how, unsigned int number, bytes *out)
{
    static const char *const texts[] = {
        [INDEX_ONE] = "X-Consul-Index: 1\r\n",
        [INDEX_ZERO] = "X-Consul-Index: 0\r\n",
        [INDEX_HUGE] = "X-Consul-Index: 99999999999999999999\r\n",
        [INDEX_NEGATIVE] = "X-Consul-Index: -1\r\n",
        [INDEX_TEXT] = "X-Consul-Index: one\r\n",
        [INDEX_TWICE] = "X-Consul-Index: 5\r\nX-Consul-Index: 6\r\n",
    };

    if (how == INDEX_RISING)
        add_line(out, "X-Consul-Index: ", number);
    else if (how != INDEX_NONE)
        bytes_add_text(out, texts[how]);
}

/* Write what stands before the status line. */
static void write_before(enum head how, bytes *out)
{
    int i;

    if (how == HEAD_GARBAGE)
        bytes_add_text(out, "garbage\r\n");
    for (i = 0; how == HEAD_CONTINUE && i < LINES; i++)
        bytes_add_text(out, "HTTP/1.1 100 Continue\r\n\r\n");
    if (how == HEAD_UPGRADE)
        bytes_add_text(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n");
    if (how == HEAD_OTHER)
        bytes_add_text(out, "SSH-2.0-OpenSSH_9.2\r\n");
    if (how == HEAD_VERSION_2)
        bytes_add(out, "\0\0\x12\4\0\0\0\0\0", 9);
}

static void write_odd_lines(enum head how, bytes *out)
{
    int i;

    if (how == HEAD_NO_COLON)
        bytes_add_text(out, "no colon here\r\n");
    if (how == HEAD_NUL)
        bytes_add(out, "X-Nul: a\0b\r\n", 12);
    if (how == HEAD_FOLDED)
        bytes_add_text(out, "X-Folded: a\r\n Content-Length: 1\r\n\tb\r\n");
    if (how == HEAD_LONG_LINE) {
        bytes_add_text(out, "X-Long: ");
        bytes_fill(out, 'a', LONG_LINE);
        bytes_add_text(out, "\r\n");
    }
    for (i = 0; how == HEAD_MANY && i < LINES; i++)
        bytes_add_text(out, "X-More: yes\r\n");
    if (how == HEAD_DATE)
        bytes_add_text(out, "Date: Thu, 99 Foo 99999 99:99:99 GMT\r\n");
}

static void write_head(const row *r, size_t len, const char *location, unsigned int number,
                       bytes *out)
{
    static const char *const statuses[] = {
        [STATUS_200] = "200", [STATUS_201] = "201", [STATUS_203] = "203", [STATUS_204] = "204",
        [STATUS_206] = "206", [STATUS_301] = "301", [STATUS_302] = "302", [STATUS_304] = "304",
        [STATUS_307] = "307", [STATUS_400] = "400", [STATUS_401] = "401", [STATUS_403] = "403",
        [STATUS_404] = "404", [STATUS_429] = "429", [STATUS_500] = "500", [STATUS_503] = "503",
        [STATUS_599] = "599", [STATUS_999] = "999", [STATUS_0] = "000",   [STATUS_LONG] = "2000",
        [STATUS_TEXT] = "OK",
    };
    enum head how = r->value[AXIS_HEAD];
    size_t from;

    if (how == HEAD_NONE)
        return;
    write_before(how, out);
    from = out->len;
    bytes_add_text(out, how == HEAD_VERSION_0   ? "HTTP/1.0 "
                        : how == HEAD_VERSION_9 ? "HTTP/9.9 "
                                                : "HTTP/1.1 ");
    bytes_add_text(out, statuses[r->value[AXIS_STATUS]]);
    bytes_add_text(out, how == HEAD_NO_REASON ? "\r\n" : " Wrong\r\n");
    write_odd_lines(how, out);
    bytes_add_text(out, location);
    write_length(r->value[AXIS_FRAME], len, out);
    write_index(r->value[AXIS_INDEX], number, out);
    if (how != HEAD_ENDLESS)
        bytes_add_text(out, "Connection: close\r\n\r\n");
    for (; how == HEAD_BARE_LF && from < out->len; from++) {
        if (out->data[from] == '\r')
            out->data[from] = ' ';
    }
}

const char *answer_rest(const row *r)
{
    if (ROW_IS(r, HEAD, HEAD_ENDLESS))
        return "X-More: and more and more and more\r\n";
    return ROW_IS(r, BODY, BODY_ENDLESS) ? "                                " : NULL;
}

void answer_write(const row *r, const char *right, const char *location, unsigned int number,
                  bytes *answer, size_t *head_len)
{
    bytes body = {0}, framed = {0};

    answer_write_body(r, right, &body);
    answer_frame(r, &body, &framed);
    write_head(r, ROW_IS(r, BODY, BODY_ENDLESS) ? (size_t)1 << 40 : body.len, location, number,
               answer);
    *head_len = answer->len;
    if (!ROW_IS(r, HEAD, HEAD_ENDLESS))
        bytes_add(answer, framed.data == NULL ? "" : framed.data, framed.len);
    free(body.data);
    free(framed.data);
}

void answer_write_right(const char *right, bytes *answer)
{
    row plain = {0};
    size_t head_len;

    answer_write(&plain, right, "", 0, answer, &head_len);
}

bool answer_must_fail(const row *r)
{
    enum head head = r->value[AXIS_HEAD];
    enum frame f = r->value[AXIS_FRAME];
    enum body body = r->value[AXIS_BODY];
    enum pace pace = r->value[AXIS_PACE];

    return !ROW_IS(r, STATUS, STATUS_200) || head == HEAD_NONE || head == HEAD_OTHER
           || head == HEAD_VERSION_2 || head == HEAD_VERSION_9 || head == HEAD_ENDLESS
           || f == FRAME_LONG || f == FRAME_CHUNKED_BAD || f == FRAME_CHUNKED_HUGE
           || f == FRAME_CHUNKED_OPEN
           || (body != BODY_WHOLE && body != BODY_FLIPPED && body != BODY_SPACES)
           || (pace != PACE_AT_ONCE && pace != PACE_DRIP && pace != PACE_HANG_AT_END);
}

bool answer_is_yes(const row *r)
{
    enum field field = r->value[AXIS_FIELD];

    return ROW_IS(r, ENDPOINT, OF_AUTHORIZE) && ROW_IS(r, VALUE, VALUE_TRUE)
           && (field == FIELD_0 || field == FIELD_2);
}
