/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Misspelt settings in a file that the program has loaded by itself. OpenSSL does not name that file,
 * and hands over a row only by its name. So each name with one slip is asked for.
 */
#include "config/slips.h"

#include "config/names.h"

#include <string.h>

#define NAME_MAX_LEN 32 /* bytes; no setting has a name of that length */

static const char letters[] = "abcdefghijklmnopqrstuvwxyz_-ABCDEFGHIJKLMNOPQRSTUVWXYZ";

typedef struct slips {
    const prov_core *core;
    const char *name;
    char slip[NAME_MAX_LEN + 2];
} slips;

/* Return true if a row is named by the first `head` bytes, `middle`, and the bytes from `tail` on. */
static bool is_there(slips *s, size_t head, const char *middle, size_t middle_len, size_t tail)
{
    size_t rest = strlen(s->name + tail);

    memcpy(s->slip, s->name, head);
    memcpy(s->slip + head, middle, middle_len);
    memcpy(s->slip + head + middle_len, s->name + tail, rest + 1);
    return strcmp(s->slip, s->name) != 0 && prov_section_value(s->core, s->slip) != NULL;
}

/* Find a slip at byte `i`: left out, swapped with the next, replaced, or with a letter before it. */
static bool find_at(slips *s, size_t i, size_t len)
{
    char swapped[2];
    const char *letter;

    if (i + 1 < len) {
        swapped[0] = s->name[i + 1];
        swapped[1] = s->name[i];
        if (is_there(s, i, swapped, 2, i + 2))
            return true;
    }
    if (i < len && is_there(s, i, "", 0, i + 1))
        return true;
    for (letter = letters; *letter != '\0'; letter++) {
        if ((i < len && is_there(s, i, letter, 1, i + 1)) || is_there(s, i, letter, 1, i))
            return true;
    }
    return false;
}

int prov_config_check_slips(const prov_core *core, bool brief, consul_error *err)
{
    slips s = {.core = core};
    const consul_option *option;
    size_t i, len;

    for (option = consul_options; option->name != NULL; option++) {
        if (brief && !config_name_makes_a_service(option->name))
            continue;
        s.name = option->name;
        len = strlen(s.name);
        for (i = 0; i <= len && len <= NAME_MAX_LEN; i++) {
            if (find_at(&s, i, len) && config_name_option(s.slip) == NULL)
                return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                        "%s: there is no such setting; the nearest is %s", s.slip,
                                        s.name);
        }
    }
    return 1;
}
