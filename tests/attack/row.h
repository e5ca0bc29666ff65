/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A space, of handshakes or of an agent's answers. A row is a point of it: a value for each axis. Plain data; any
 * thread.
 */
#ifndef ATTACK_ROW_H
#define ATTACK_ROW_H

#ifndef ATTACK_SPACE
#define ATTACK_SPACE "space.h"
#endif
#include ATTACK_SPACE

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AXIS(name, text, values) AXIS_##name,
enum { AXES_OF(AXIS) AXES };
#undef AXIS

/* The values of an axis, by their names. */
typedef struct axis {
    const char *name;
    const char *const *values;
    int count;
} axis;

extern const axis axes[AXES];

typedef struct row {
    unsigned char value[AXES];
} row;

/* Return the value of an axis, as in ROW_IS(r, PEER, PEER_NONE). */
#define ROW_IS(r, name, expected) ((r)->value[AXIS_##name] == (expected))

/* Write the values that are not the default, as in "role=client peer=none". */
#define ROW_TEXT_MAX 640
void row_print(const row *r, char text[ROW_TEXT_MAX]);

/* Read the same; return false for an unknown axis or value. */
bool row_parse(row *r, const char *text);

/* Return the row of this number of the sequence of a seed. Half of its values are the default. */
row row_of(uint64_t seed, uint64_t number);

/* Make rows that have each pair of values of two axes, and return their number. Free `rows` with free. */
size_t row_pairs(uint64_t seed, row **rows);

#endif
