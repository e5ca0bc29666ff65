/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTACK_ONCE_OPEN_H
#define ATTACK_ONCE_OPEN_H

/*
 * Rows that once let a peer in, or would without one of our callbacks; up to NULL. Some still do: `oracle_ways_in` were told
 * too narrowly.
 */
extern const char *const once_open[];

#endif
