/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Misspelt settings in a file that the program has loaded by itself. OpenSSL does not name that file,
 * and hands over a row only by its name. So each name with one slip is asked for, many names at a time.
 */
#include "config/slips.h"

#include "config/names.h"

#include <string.h>

#include <openssl/params.h>

#define SIZE 32 /* of a name with a slip; all settings are shorter */

static const char letters[] = "abcdefghijklmnopqrstuvwxyz_-";

#define AT_A_PLACE (2 * sizeof(letters) + 2)

/* The names with a slip at one place of a setting's name. */
typedef struct slips {
    char name[SIZE], longer[SIZE]; /* the setting's, and the same with one more byte at the place */
    size_t count;
    char *value; /* of any row; nothing reads it */
    char slips[AT_A_PLACE][SIZE];
    OSSL_PARAM params[AT_A_PLACE + 1];
} slips;

/* Add a name that has this letter at byte `i`. */
static char *add(slips *s, const char name[SIZE], size_t i, char letter)
{
    char *slip = s->slips[s->count];

    memcpy(slip, name, SIZE);
    slip[i] = letter;
    s->params[s->count++] = (OSSL_PARAM)OSSL_PARAM_DEFN(slip, OSSL_PARAM_UTF8_PTR, &s->value, 0);
    return slip;
}

/*
 * Add the names with a slip at byte `i`. The letter is missing, wrong, a capital or swapped with the next, or another letter
 * stands before it.
 */
static void add_all(slips *s, size_t i)
{
    char own = s->name[i];
    const char *letter;

    s->count = 0;
    memmove(s->longer + i + 1, s->name + i, SIZE - i - 1);
    for (letter = letters; *letter != '\0'; letter++) {
        add(s, s->longer, i, *letter);
        if (own != '\0' && own != *letter)
            add(s, s->name, i, *letter);
    }
    s->longer[i] = own;
    if (own != '\0') {
        if (own >= 'a' && own <= 'z')
            add(s, s->name, i, (char)(own - 'a' + 'A'));
        if (s->name[i + 1] != own && s->name[i + 1] != '\0')
            add(s, s->name, i, s->name[i + 1])[i + 1] = own;
        memmove(add(s, s->name, i, own) + i, s->name + i + 1, SIZE - i - 1);
    }
    s->params[s->count] = OSSL_PARAM_construct_end();
}

/* Return the name of a row with such a slip, or NULL. The name is not that of another setting. */
static const char *find(slips *s, const prov_core *core)
{
    size_t i;

    if (!core->get_params(core->handle, s->params))
        return NULL;
    for (i = 0; i < s->count; i++) {
        if (OSSL_PARAM_modified(&s->params[i]) && config_name_option(s->slips[i]) == NULL)
            return s->slips[i];
    }
    return NULL;
}

int prov_config_check_slips(const prov_core *core, bool brief, consul_error *err)
{
    slips s;
    const consul_option *option;
    const char *slip;
    size_t i, len;

    for (option = consul_options; option->name != NULL; option++) {
        len = strlen(option->name);
        if ((brief && !config_name_is_deciding(option->name)) || len + 1 >= SIZE)
            continue;
        memset(s.name, 0, SIZE);
        memcpy(s.name, option->name, len);
        memcpy(s.longer, s.name, SIZE);
        for (i = 0; i <= len; i++) {
            add_all(&s, i);
            if ((slip = find(&s, core)) != NULL)
                return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                        "%s: there is no such setting; the nearest is %s", slip,
                                        s.name);
        }
    }
    return 1;
}
