/* An allowance: so many at once, and one in each interval in the long run. Pure; any thread. */
#ifndef CONSUL_BASE_ALLOWANCE_H
#define CONSUL_BASE_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Take one, and return true, unless none is left. `*spent_until` is the moment up to which the
 * allowance is spent, at first 0; it, `now` and `interval` have one unit.
 */
bool consul_allowance_take(int64_t *spent_until, int64_t now, int64_t interval, int at_once);

#endif
