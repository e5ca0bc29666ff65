/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define LONG_TEXT (1 << 20)
#define NESTED 100000
#define SPACES (3 << 20)
#define TOO_LARGE (5 << 20)

void bytes_add(bytes *b, const void *data, size_t len)
{
    if (b->len + len + 1 > b->size) {
        b->size = 2 * (b->len + len + 1);
        b->data = realloc(b->data, b->size);
        if (b->data == NULL)
            abort();
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void bytes_add_text(bytes *b, const char *text)
{
    bytes_add(b, text, strlen(text));
}

void bytes_fill(bytes *b, char c, size_t count)
{
    char block[4096];
    size_t some;

    memset(block, c, sizeof(block));
    for (; count > 0; count -= some) {
        some = count < sizeof(block) ? count : sizeof(block);
        bytes_add(b, block, some);
    }
}

/* ---- the fields ---- */

/* The fields of the answers. The first of each is the most important one. "/" leads into a list. */
static const char *const fields[][4] = {
    [OF_ROOTS] = {"TrustDomain", "Roots", "Roots/", "Roots/RootCert"},
    [OF_LEAF] = {"CertPEM", "PrivateKeyPEM", "ServiceURI", "ValidBefore"},
    [OF_AUTHORIZE] = {"Authorized", "Reason", "Authorized", "Reason"},
    [OF_INTENTIONS] = {"web", "web/", "web/SourceName", "web/Action"},
};

#define HOLE "\"@hole@\""

/* Write a wrong value. `text` is the right one. */
static void write_value(enum value value, const char *text, bytes *out)
{
    static const char *const texts[] = {
        [VALUE_NULL] = "null",
        [VALUE_TRUE] = "true",
        [VALUE_FALSE] = "false",
        [VALUE_ZERO] = "0",
        [VALUE_ONE] = "1",
        [VALUE_HUGE_NUMBER] = "1e99999",
        [VALUE_BAD_NUMBER] = "01",
        [VALUE_REAL] = "-0.5",
        [VALUE_EMPTY_TEXT] = "\"\"",
        [VALUE_TEXT] = "\"wrong\"",
        [VALUE_TRUE_TEXT] = "\"true\"",
        [VALUE_NUL_ESCAPE] = "\"a\\u0000b\"",
        [VALUE_SURROGATE] = "\"\\ud800\"",
        [VALUE_BAD_UTF_8] = "\"\xc0\xaf\xff\"",
        [VALUE_FORMAT] = "\"%s%n%s%n\\u001b[31m\\r\\n\"",
        [VALUE_ARRAY] = "[]",
        [VALUE_OBJECT] = "{}",
    };

    const char *worse = strcmp(text, "false") == 0 ? "true" : text;

    if (value < sizeof(texts) / sizeof(texts[0]) && texts[value] != NULL) {
        bytes_add_text(out, texts[value]);
    } else if (value == VALUE_LONG_TEXT) {
        bytes_add_text(out, "\"");
        bytes_fill(out, 'a', LONG_TEXT);
        bytes_add_text(out, "\"");
    } else if (value == VALUE_NUL_BYTE) {
        bytes_add(out, "\"a\0b\"", 5);
    } else if (value == VALUE_NESTED) {
        bytes_fill(out, '[', NESTED);
        bytes_fill(out, ']', NESTED);
    } else if (value == VALUE_IN_ARRAY) {
        bytes_add_text(out, "[");
        bytes_add_text(out, worse);
        bytes_add_text(out, "]");
    } else if (value == VALUE_IN_OBJECT) {
        bytes_add_text(out, "{\"Authorized\": ");
        bytes_add_text(out, worse);
        bytes_add_text(out, "}");
    } else if (value == VALUE_CUT && text[0] == '"') {
        bytes_add(out, text, strlen(text) / 2);
        bytes_add_text(out, "\"");
    } else {
        bytes_add_text(out, text);
    }
}

/* Put a hole in the place of a member, or of the first element of a list. Return its right value as a text. */
static char *make_hole(json_t *root, const char *path, const char **key)
{
    const char *slash = strchr(path, '/');
    json_t *object = root, *list, *old;
    char name[64];

    *key = path;
    if (slash != NULL) {
        snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
        list = json_object_get(root, name);
        object = json_array_get(list, 0);
        *key = slash + 1;
        if (**key == '\0') {
            char *text = json_dumps(object, JSON_ENCODE_ANY);

            json_array_set_new(list, 0, json_string("@hole@"));
            *key = NULL;
            return text;
        }
    }
    old = json_object_get(object, *key);
    if (old == NULL)
        return strdup("null");
    {
        char *text = json_dumps(old, JSON_ENCODE_ANY);

        json_object_set_new(object, *key, json_string("@hole@"));
        return text;
    }
}

/* Fill the hole, and where the key is repeated or written in another way, its surroundings. */
static void fill_hole(const char *json, const char *key, const char *text, enum value value,
                      bytes *out)
{
    const char *hole = strstr(json, HOLE);
    bytes wrong = {0};
    size_t before, key_len = key == NULL ? 0 : strlen(key);

    if (hole == NULL) { /* there is no such field */
        bytes_add_text(out, json);
        return;
    }
    write_value(value, text, &wrong);
    before = (size_t)(hole - json);
    if (key != NULL && value == VALUE_OTHER_CASE)
        before -= key_len + strlen("\": ");
    bytes_add(out, json, before);
    if (key != NULL && value == VALUE_OTHER_CASE) {
        char other = key[0] ^ 0x20;

        bytes_add(out, &other, 1);
        bytes_add_text(out, key + 1);
        bytes_add_text(out, "\": ");
        bytes_add_text(out, strcmp(text, "false") == 0 ? "true" : text);
    } else if (key != NULL && (value == VALUE_RIGHT_WRONG || value == VALUE_WRONG_RIGHT)) {
        const char *wrong_text = strcmp(text, "false") == 0 ? "true" : "7";

        bytes_add_text(out, value == VALUE_RIGHT_WRONG ? text : wrong_text);
        bytes_add_text(out, ", \"");
        bytes_add_text(out, key);
        bytes_add_text(out, "\": ");
        bytes_add_text(out, value == VALUE_RIGHT_WRONG ? wrong_text : text);
    } else {
        bytes_add(out, wrong.data, wrong.len);
    }
    bytes_add_text(out, hole + strlen(HOLE));
    free(wrong.data);
}

static void write_json(const row *r, const char *right, bytes *body)
{
    enum field field = r->value[AXIS_FIELD];
    enum value value = r->value[AXIS_VALUE];
    const char *key = NULL;
    json_t *root;
    char *text, *json;

    if (value == VALUE_RIGHT || right[0] != '{') {
        bytes_add_text(body, right);
        return;
    }
    if (field == FIELD_ALL) {
        write_value(value == VALUE_MISSING ? VALUE_OBJECT : value, right, body);
        return;
    }
    root = json_loads(right, 0, NULL);
    if (field == FIELD_UNKNOWN) {
        json_object_set_new(root, "Unknown", json_string("@hole@"));
        key = "Unknown";
        text = strdup("\"right\"");
    } else {
        text = make_hole(root, fields[r->value[AXIS_ENDPOINT]][field], &key);
    }
    if (value == VALUE_MISSING && key != NULL) {
        json_object_del(root, key);
        if (json_array_get(json_object_get(root, "Roots"), 0) != NULL)
            json_object_del(json_array_get(json_object_get(root, "Roots"), 0), key);
    }
    json = json_dumps(root, 0);
    fill_hole(json, key, text, value, body);
    free(text);
    free(json);
    json_decref(root);
}

/* ---- the body ---- */

/* Return a place in a text, near the one of the axis `at`. Rows have different ones. */
static size_t place_in(const row *r, size_t len)
{
    size_t at = len * r->value[AXIS_AT] / 9, some = 0, i;

    for (i = 0; i < AXES; i++)
        some = 31 * some + r->value[i];
    at += len < 90 ? 0 : some % (len / 9);

    return at < len ? at : len == 0 ? 0 : len - 1;
}

void answer_write_body(const row *r, const char *right, bytes *body)
{
    enum body how = r->value[AXIS_BODY];

    if (how == BODY_MARK)
        bytes_add_text(body, "\xef\xbb\xbf");
    if (how == BODY_COMMENT)
        bytes_add_text(body, "/* fine */ ");
    if (how == BODY_SPACES)
        bytes_fill(body, ' ', SPACES);
    if (how == BODY_BLANK)
        bytes_add_text(body, " \r\n\t");
    else if (how == BODY_HTML)
        bytes_add_text(body, "<html><body>{\"Authorized\": true}</body></html>");
    else if (how == BODY_BINARY)
        bytes_add(body, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56\x00\x00\xff\xff", 16);
    else if (how != BODY_EMPTY)
        write_json(r, right, body);
    if (how == BODY_TRAILING)
        bytes_add_text(body, " true");
    if (how == BODY_TWICE)
        write_json(r, right, body);
    if (how == BODY_TOO_LARGE)
        bytes_fill(body, ' ', TOO_LARGE);
    if (how == BODY_TRUNCATED)
        body->len = place_in(r, body->len);
    else if (how == BODY_FLIPPED && body->len > 0)
        body->data[place_in(r, body->len)] ^= 1;
    else if (how == BODY_ZEROED && body->len > 0)
        body->data[place_in(r, body->len)] = '\0';
}

static void add_chunk(bytes *out, const char *data, size_t len, const char *extension)
{
    char size[32];

    snprintf(size, sizeof(size), "%zx", len);
    bytes_add_text(out, size);
    bytes_add_text(out, extension);
    bytes_add_text(out, "\r\n");
    bytes_add(out, data, len);
    bytes_add_text(out, "\r\n");
}

void answer_frame(const row *r, const bytes *body, bytes *out)
{
    enum frame how = r->value[AXIS_FRAME];
    bytes extension = {0};
    size_t i;

    if (how < FRAME_CHUNKED || how > FRAME_CHUNKED_LENGTH) {
        bytes_add(out, body->data == NULL ? "" : body->data, body->len);
        return;
    }
    bytes_add_text(&extension, ";a=");
    if (how == FRAME_CHUNKED_BAD)
        bytes_add_text(out, "zz\r\n");
    if (how == FRAME_CHUNKED_HUGE)
        bytes_add_text(out, "ffffffffffffffff0\r\n");
    if (how == FRAME_CHUNKED_LONG)
        bytes_fill(&extension, 'b', LONG_TEXT);
    if (how == FRAME_CHUNKED_BYTES && body->len < 65536) {
        for (i = 0; i < body->len; i++)
            add_chunk(out, body->data + i, 1, "");
    } else if (body->len > 0) {
        add_chunk(out, body->data, body->len, how == FRAME_CHUNKED_LONG ? extension.data : "");
    }
    if (how != FRAME_CHUNKED_OPEN)
        bytes_add_text(out, "0\r\n\r\n");
    free(extension.data);
}
