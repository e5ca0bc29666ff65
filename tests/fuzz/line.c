/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of the log. The first bytes choose its form, and texts with a newline after each are the fields. A line is
 * printable. A line in JSON is an object that another reader takes, with the fields' bytes.
 */
#include "fuzz.h"

#include "report/line.h"

#include <jansson.h>

#define FIELDS 16
#define PROGRAM_MAX 63 /* bytes that report/log.c keeps of a program's name */
#define ABSENT '-'     /* a field that is not known */

/* Return the field of a record for a name in JSON, or NULL. */
static const char *field_of(const prov_record *record, const char *name)
{
    const struct {
        const char *name, *value;
    } fields[] = {
        {"event", record->event},
        {"message", record->message},
        {"reason", record->reason},
        {"role", record->role},
        {"service", record->service},
        {"peer", record->peer},
        {"name", record->name},
        {"serial", record->serial},
        {"fingerprint", record->fingerprint},
        {"client_random", record->client_random},
        {"valid_until", record->valid_until},
        {"verdict", record->verdict},
        {"address", record->address},
        {"port", record->port},
        {"local_address", record->local_address},
        {"local_port", record->local_port},
    };
    size_t i;

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(fields[i].name, name) == 0)
            return fields[i].value;
    }
    return NULL;
}

/* Require a text in JSON to be the beginning of a field, a character of Unicode for each byte. */
static void require_beginning(const char *text, const char *field)
{
    while (*text != '\0') {
        unsigned byte = (unsigned char)*text++;

        if (byte >= 0x80) /* two bytes of UTF-8, for U+0080 to U+00FF */
            byte = (byte & 3) << 6 | ((unsigned char)*text++ & 0x3f);
        REQUIRE(byte == (unsigned char)*field++);
    }
}

static void require_json(const char *text, size_t len, const prov_record *record)
{
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL), *value;
    const char *name;
    size_t i;

    REQUIRE(json_is_object(json));
    json_object_foreach(json, name, value) {
        for (i = 0; prov_line_fields[i] != NULL && strcmp(prov_line_fields[i], name) != 0; i++)
            ;
        REQUIRE(prov_line_fields[i] != NULL);
        if (field_of(record, name) != NULL)
            require_beginning(json_string_value(value), field_of(record, name));
        else
            REQUIRE(strcmp(name, "time") == 0 || strcmp(name, "level") == 0
                    || strcmp(name, "program") == 0 || strcmp(name, "pid") == 0);
    }
    json_decref(json);
}

/* Require the end of a whole line in text to be ours. It has one bracket, and a comma before each part. */
static void require_text(const char *text, const prov_record *record)
{
    const char *end = strrchr(text, '['), *c;
    size_t commas = 0;

    if (record->service == NULL || text[strlen(text) - 1] != ']'
        || strlen(text) + 16 > PROV_LINE_MAX)
        return;
    REQUIRE(end != NULL && strncmp(end, "[service ", 9) == 0);
    for (c = end; *c != '\0'; c++)
        commas += *c == ',';
    REQUIRE(commas
            == (size_t)(record->name != NULL) + (record->address != NULL && record->port != NULL));
    REQUIRE(strchr(end, ']') == text + strlen(text) - 1);
}

static void try_line(const prov_record *record, const prov_line_form *form)
{
    char *line = malloc(PROV_LINE_MAX), text[PROV_LINE_MAX + 1], *json;
    size_t len;

    REQUIRE(line != NULL);
    len = prov_line_write(line, record, form);
    REQUIRE(len > 0 && len <= PROV_LINE_MAX);
    if (!form->is_for_syslog) {
        REQUIRE(line[len - 1] == '\n');
        len--;
    }
    memcpy(text, line, len);
    text[len] = '\0';
    REQUIRE(strlen(text) == len);
    fuzz_require_printable(text);
    json = form->is_for_syslog ? strstr(text, "]: ") + 3 : text;
    if (form->format == CONSUL_LOG_JSON)
        require_json(json, strlen(json), record);
    else
        require_text(text, record);
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    unsigned kind = fuzz_byte(&input);
    char *program = fuzz_text(&input, '\n'), *fields[FIELDS];
    const char *known[FIELDS];
    prov_line_form form = {
        .format = (kind & 1) != 0 ? CONSUL_LOG_JSON : CONSUL_LOG_TEXT,
        .is_for_syslog = (kind & 2) != 0,
        .program = program,
        .pid = (int)(kind >> 4),
        .now = (int64_t)fuzz_byte(&input) << 24,
    };
    size_t i;

    if (strlen(program) > PROGRAM_MAX)
        program[PROGRAM_MAX] = '\0';
    for (i = 0; i < FIELDS; i++) {
        fields[i] = fuzz_text(&input, '\n');
        known[i] = i > 1 && fields[i][0] == ABSENT && fields[i][1] == '\0' ? NULL : fields[i];
    }
    try_line(&(prov_record){.level = kind >> 2 & 3,
                            .event = known[0],
                            .message = known[1],
                            .reason = known[2],
                            .role = known[3],
                            .service = known[4],
                            .peer = known[5],
                            .name = known[6],
                            .serial = known[7],
                            .fingerprint = known[8],
                            .client_random = known[9],
                            .valid_until = known[10],
                            .verdict = known[11],
                            .address = known[12],
                            .port = known[13],
                            .local_address = known[14],
                            .local_port = known[15]},
             &form);
    for (i = 0; i < FIELDS; i++)
        free(fields[i]);
    free(program);
    return 0;
}
