/* SPDX-License-Identifier: Apache-2.0 */
/* A line of the log as text and as JSON, for any record, and the page that names the fields. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "report/line.h"

static char written[PROV_LINE_MAX + 1];

/* Write a record, and return its line. */
static const char *line_of(const prov_record *record, enum consul_log_format format, bool syslog)
{
    size_t len = prov_line_write(written, record,
                                 &(prov_line_form){.format = format,
                                                   .is_for_syslog = syslog,
                                                   .program = "ng\"inx\n",
                                                   .pid = 42,
                                                   .now = 1795391497});

    assert_between(len, 1, PROV_LINE_MAX);
    written[len] = '\0';
    return written;
}

/* Write a record as JSON, check that it is one object on one printable line, and return it. */
static json_t *json_of(const prov_record *record)
{
    const char *line = line_of(record, CONSUL_LOG_JSON, false);
    size_t len = strlen(line), i;
    json_error_t error;
    json_t *json;

    assert_int_equal(line[len - 1], '\n');
    for (i = 0; i < len - 1; i++)
        assert_between((unsigned char)line[i], 0x20, 0x7e);
    json = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        fail_msg("%s: %s", error.text, line);
    assert_true(json_is_object(json));
    return json;
}

static const char *text_at(const json_t *json, const char *name)
{
    return json_string_value(json_object_get(json, name));
}

static const prov_record full = {
    .level = CONSUL_LOG_WARNING,
    .event = "peer_refused",
    .message = "client refused: \"spiffe://x/svc/api\" may not connect",
    .reason = "peer denied by Consul",
    .role = "server",
    .service = "web",
    .peer = "spiffe://x/svc/api",
    .name = "web.service.consul",
    .serial = "0b:5f",
    .fingerprint = "07f5a2",
    .client_random = "8c01",
    .valid_until = "2026-11-25T00:00:00Z",
    .verdict = "question",
    .address = "192.0.2.7",
    .port = "4711",
    .local_address = "192.0.2.8",
    .local_port = "8443",
};

static void test_text(void **state)
{
    static const char said[] =
        "consul: peer denied by Consul: client refused: \"spiffe://x/svc/api\" "
        "may not connect [service web, name web.service.consul, peer 192.0.2.7 port 4711]";
    char expected[256];

    snprintf(expected, sizeof(expected), "2026-11-22T23:51:37Z ng?inx?[42]: %s\n", said);
    assert_string_equal(line_of(&full, CONSUL_LOG_TEXT, false), expected);
    snprintf(expected, sizeof(expected), "<28>ng?inx?[42]: %s", said);
    assert_string_equal(line_of(&full, CONSUL_LOG_TEXT, true), expected);
}

static void test_json_has_each_field_and_no_other(void **state)
{
    json_t *json = json_of(&full);
    size_t count = 0;

    for (; prov_line_fields[count] != NULL; count++)
        assert_non_null(json_object_get(json, prov_line_fields[count]));
    assert_int_equal(json_object_size(json), count);
    assert_string_equal(text_at(json, "time"), "2026-11-22T23:51:37Z");
    assert_string_equal(text_at(json, "level"), "warning");
    assert_string_equal(text_at(json, "program"), "ng\"inx\n");
    assert_int_equal(json_integer_value(json_object_get(json, "pid")), 42);
    assert_string_equal(text_at(json, "event"), full.event);
    assert_string_equal(text_at(json, "message"), full.message);
    assert_string_equal(text_at(json, "reason"), full.reason);
    assert_string_equal(text_at(json, "role"), full.role);
    assert_string_equal(text_at(json, "service"), full.service);
    assert_string_equal(text_at(json, "peer"), full.peer);
    assert_string_equal(text_at(json, "name"), full.name);
    assert_string_equal(text_at(json, "serial"), full.serial);
    assert_string_equal(text_at(json, "fingerprint"), full.fingerprint);
    assert_string_equal(text_at(json, "client_random"), full.client_random);
    assert_string_equal(text_at(json, "valid_until"), full.valid_until);
    assert_string_equal(text_at(json, "verdict"), full.verdict);
    assert_string_equal(text_at(json, "address"), full.address);
    assert_string_equal(text_at(json, "port"), full.port);
    assert_string_equal(text_at(json, "local_address"), full.local_address);
    assert_string_equal(text_at(json, "local_port"), full.local_port);
    json_decref(json);
}

static void test_json_for_syslog(void **state)
{
    prov_record record = {.level = CONSUL_LOG_ERROR, .event = "start", .message = "m"};

    assert_int_equal(
        strncmp(line_of(&record, CONSUL_LOG_JSON, true), "<27>ng?inx?[42]: {\"time\":", 24), 0);
    assert_int_equal(written[strlen(written) - 1], '}');
}

/* Bytes from a peer neither end a value nor a line, and do not change another field. */
static void test_hostile_bytes(void **state)
{
    char bytes[256];
    prov_record record = {.level = CONSUL_LOG_INFO, .event = "peer_refused", .message = bytes};
    json_t *json;
    int i;

    for (i = 1; i < 256; i++)
        bytes[i - 1] = (char)i;
    bytes[255] = '\0';
    record.peer = "\",\"level\":\"error\",\"x\":\"\\";
    json = json_of(&record);
    assert_string_equal(text_at(json, "level"), "info");
    assert_string_equal(text_at(json, "peer"), record.peer);
    assert_null(json_object_get(json, "x"));
    json_decref(json);
    line_of(&record, CONSUL_LOG_TEXT, false);
    assert_ptr_equal(strchr(written, '\n'), written + strlen(written) - 1);
    assert_null(strchr(written, '\033'));
}

/* A name cannot imitate the end of a line, nor another field. */
static void test_hostile_names(void **state)
{
    prov_record record = full;

    record.service = "web] x\n[service \"db\"";
    record.name = "a, peer 1.2.3.4 port 5]";
    line_of(&record, CONSUL_LOG_TEXT, false);
    assert_non_null(strstr(written,
                           " [service web? x??service ?db?, name a? peer 1.2.3.4 port 5?, peer "
                           "192.0.2.7 port 4711]\n"));
}

/* Every length of every field gives a whole line, with its message. */
static void test_any_length(void **state)
{
    static const char fills[] = {'x', '"', '\n'};
    char *text = malloc(3 * PROV_LINE_MAX);
    size_t fill, len, most = 3 * PROV_LINE_MAX - 1;
    json_t *json;

    assert_non_null(text);
    for (fill = 0; fill < sizeof(fills); fill++) {
        memset(text, fills[fill], most);
        text[most] = '\0';
        for (len = 0; len < most; len += len < 500 ? 1 : 97) {
            char *end = text + most - len;
            prov_record all = {CONSUL_LOG_INFO,
                               false,
                               end,
                               end,
                               end,
                               end,
                               end,
                               end,
                               end,
                               end,
                               end,
                               end,
                               end,
                               end,
                               end,
                               end,
                               end,
                               end};
            prov_record typical = {
                .event = "e", .service = end, .peer = end, .name = end, .message = end};

            json = json_of(&all);
            json_decref(json);
            json = json_of(&typical);
            if (len < 200)
                assert_int_equal(strlen(text_at(json, "message")), len);
            assert_true(len == 0 || strlen(text_at(json, "message")) > 0);
            json_decref(json);
            line_of(&all, CONSUL_LOG_TEXT, false);
            assert_int_equal(written[strlen(written) - 1], '\n');
            line_of(&all, CONSUL_LOG_JSON, true);
        }
    }
    free(text);
}

static void test_times(void **state)
{
    static const struct {
        int64_t moment;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},
        {951782399, "2000-02-28T23:59:59Z"},
        {951782400, "2000-02-29T00:00:00Z"},
        {4107542399, "2100-02-28T23:59:59Z"},
        {4107542400, "2100-03-01T00:00:00Z"},
        {-1, "1969-12-31T23:59:59Z"},
        {253402300799, "9999-12-31T23:59:59Z"},
    };
    char text[CONSUL_TIME_MAX];
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        consul_time_text(rows[i].moment, text);
        assert_string_equal(text, rows[i].text);
    }
}

/* The page has a row for each field, in their order, and no other. */
static void test_page_has_each_field_and_no_other(void **state)
{
    static char text[1 << 16];
    FILE *file = fopen(SOURCE_ROOT "/doc/log.md", "r");
    size_t len, i;
    char row[64], *line;

    assert_non_null(file);
    len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    line = strstr(text, "| field | value |\n|---|---|\n");
    assert_non_null(line);
    line = strchr(strchr(line, '\n') + 1, '\n') + 1;
    for (i = 0; prov_line_fields[i] != NULL; i++) {
        snprintf(row, sizeof(row), "| `%s` | ", prov_line_fields[i]);
        assert_memory_equal(line, row, strlen(row));
        line = strchr(line, '\n') + 1;
    }
    assert_int_equal(*line, '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json_has_each_field_and_no_other),
        cmocka_unit_test(test_json_for_syslog),
        cmocka_unit_test(test_hostile_bytes),
        cmocka_unit_test(test_hostile_names),
        cmocka_unit_test(test_any_length),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_page_has_each_field_and_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
