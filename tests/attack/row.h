/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The space of handshakes. A row is a point of it: a value for each axis. Plain data; any thread.
 */
#ifndef ATTACK_ROW_H
#define ATTACK_ROW_H

#include "space.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSTANT(name, text) name,
enum role { ROLES(CONSTANT) };
enum governs { GOVERNS(CONSTANT) };
enum protocol { PROTOCOLS(CONSTANT) };
enum given { GIVENS(CONSTANT) };
enum security { SECURITIES(CONSTANT) };
enum hello { HELLOS(CONSTANT) };
enum message { MESSAGES(CONSTANT) };
enum session { SESSIONS(CONSTANT) };
enum check { CHECKS(CONSTANT) };
enum info { INFOS(CONSTANT) };
enum taking { TAKINGS(CONSTANT) };
enum place { PLACES(CONSTANT) };
enum call { CALLS(CONSTANT) };
enum mode { MODES(CONSTANT) };
enum ciphers { CIPHERS(CONSTANT) };
enum life { LIVES(CONSTANT) };
enum drive { DRIVES(CONSTANT) };
enum name { NAMES(CONSTANT) };
enum peer { PEERS(CONSTANT) };
#undef CONSTANT

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
