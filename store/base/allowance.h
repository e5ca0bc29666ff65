/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An allowance: a number of uses at once, and one use an interval in the long run. Pure functions,
 * for any thread. They allocate nothing and cannot fail.
 */
#ifndef CONSUL_BASE_ALLOWANCE_H
#define CONSUL_BASE_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Take one use. Return false where no use is left. `*spent_until` is the moment up to which the
 * allowance is spent, and 0 at first. It has the unit of `now` and `interval`. `at_once` is a
 * number of uses.
 */
bool consul_allowance_take(int64_t *spent_until, int64_t now, int64_t interval, int at_once);

#endif
