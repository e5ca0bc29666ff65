/* SPDX-License-Identifier: Apache-2.0 */
#include "row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(name, text) text,
#define VALUES(name, text, values) static const char *const values_##name[] = {values(TEXT)};
AXES_OF(VALUES)
#undef VALUES
#undef TEXT

#define AXIS(name, text, values) \
    {text, values_##name, (int)(sizeof(values_##name) / sizeof(values_##name[0]))},
const axis axes[AXES] = {AXES_OF(AXIS)};
#undef AXIS

void row_print(const row *r, char text[ROW_TEXT_MAX])
{
    size_t len = 0, i;

    text[0] = '\0';
    for (i = 0; i < AXES; i++) {
        if (r->value[i] != 0 && len < ROW_TEXT_MAX)
            len += (size_t)snprintf(text + len, ROW_TEXT_MAX - len, "%s%s=%s", len == 0 ? "" : " ",
                                    axes[i].name, axes[i].values[r->value[i]]);
    }
}

static bool set_by_name(row *r, const char *name, const char *value)
{
    int i, j;

    for (i = 0; i < AXES; i++) {
        for (j = 0; strcmp(axes[i].name, name) == 0 && j < axes[i].count; j++) {
            if (strcmp(axes[i].values[j], value) == 0) {
                r->value[i] = (unsigned char)j;
                return true;
            }
        }
    }
    return false;
}

bool row_parse(row *r, const char *text)
{
    char copy[ROW_TEXT_MAX], *word, *state = NULL, *value;

    *r = (row){0};
    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
        return false;
    for (word = strtok_r(copy, " ", &state); word != NULL; word = strtok_r(NULL, " ", &state)) {
        value = strchr(word, '=');
        if (value == NULL)
            return false;
        *value++ = '\0';
        if (!set_by_name(r, word, value))
            return false;
    }
    return true;
}

/* ---- numbers by chance, from a seed: splitmix64 ---- */

static uint64_t next_number(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static unsigned char choose(uint64_t *state, int count)
{
    return (unsigned char)(next_number(state) % (uint64_t)count);
}

row row_of(uint64_t seed, uint64_t number)
{
    uint64_t state = seed * 0xd1342543de82ef95U + number;
    row r = {0};
    int i;

    for (i = 0; i < AXES; i++) {
        if (next_number(&state) % 2 == 0)
            r.value[i] = choose(&state, axes[i].count);
    }
    return r;
}

/* ---- all pairs of values ---- */

#define VALUES_MAX 32
#define CANDIDATES 24

typedef struct cover {
    bool seen[AXES][VALUES_MAX][AXES][VALUES_MAX]; /* with the first axis before the second */
    size_t left;
    uint64_t state;
} cover;

static bool is_new(const cover *c, const row *r, int a, int b)
{
    return a < b ? !c->seen[a][r->value[a]][b][r->value[b]]
                 : a > b && !c->seen[b][r->value[b]][a][r->value[a]];
}

/* Choose for an axis the value with the most new pairs with the axes that are `set`. */
static void set_best(cover *c, row *r, int which, const bool set[AXES])
{
    int j, k, news, most = -1, first = choose(&c->state, axes[which].count);
    unsigned char best = 0;

    for (j = 0; j < axes[which].count; j++) {
        r->value[which] = (unsigned char)((first + j) % axes[which].count);
        for (k = 0, news = 0; k < AXES; k++)
            news += set[k] && is_new(c, r, which, k);
        if (news > most) {
            most = news;
            best = r->value[which];
        }
    }
    r->value[which] = best;
}

/* Make a row around a new pair, in an order of the axes by chance. */
static row make_candidate(cover *c)
{
    int order[AXES], i, j, swap, pair, a = 0, b = 0;
    bool set[AXES] = {false};
    row r = {0};

    /* The first new pair from a place by chance on. */
    for (pair = choose(&c->state, 255) * AXES, i = 0; i < AXES * AXES; i++, pair++) {
        a = pair / AXES % AXES, b = pair % AXES;
        for (j = 0; a < b && j < axes[a].count * axes[b].count; j++) {
            r.value[a] = (unsigned char)(j / axes[b].count);
            r.value[b] = (unsigned char)(j % axes[b].count);
            if (is_new(c, &r, a, b))
                goto found;
        }
    }
found:
    set[a] = set[b] = true;
    for (i = 0; i < AXES; i++)
        order[i] = i;
    for (i = AXES - 1; i > 0; i--) {
        j = choose(&c->state, i + 1);
        swap = order[i], order[i] = order[j], order[j] = swap;
    }
    for (i = 0; i < AXES; i++) {
        if (!set[order[i]])
            set_best(c, &r, order[i], set);
        set[order[i]] = true;
    }
    return r;
}

static size_t count_new(const cover *c, const row *r)
{
    size_t news = 0;
    int a, b;

    for (a = 0; a < AXES; a++)
        for (b = a + 1; b < AXES; b++)
            news += is_new(c, r, a, b);
    return news;
}

static void take(cover *c, const row *r)
{
    int a, b;

    c->left -= count_new(c, r);
    for (a = 0; a < AXES; a++)
        for (b = a + 1; b < AXES; b++)
            c->seen[a][r->value[a]][b][r->value[b]] = true;
}

size_t row_pairs(uint64_t seed, row **rows)
{
    cover *c = calloc(1, sizeof(*c));
    size_t count = 0, i;
    int a, b;

    if (c == NULL)
        abort();
    *rows = NULL;
    c->state = seed;
    for (a = 0; a < AXES; a++)
        for (b = a + 1; b < AXES; b++)
            c->left += (size_t)(axes[a].count * axes[b].count);
    while (c->left > 0) {
        row best = make_candidate(c);

        for (i = 1; i < CANDIDATES; i++) {
            row other = make_candidate(c);

            if (count_new(c, &other) > count_new(c, &best))
                best = other;
        }
        take(c, &best);
        *rows = realloc(*rows, ++count * sizeof(**rows));
        if (*rows == NULL)
            abort();
        (*rows)[count - 1] = best;
    }
    free(c);
    return count;
}
