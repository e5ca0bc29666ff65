/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks of this process, in all its threads. */
#ifndef ATTACK_SCARCE_CLOCK_H
#define ATTACK_SCARCE_CLOCK_H

#include <stdbool.h>

/* Add seconds to the time of day from now on. */
void clock_step(long seconds);

/* Let the time of day stand still, or go on. */
void clock_stand(bool stands);

/* Let the clocks that are not of the time of day stand still, or go on from there. */
void clock_stop(bool stops);

/* Remember the moment. clock_go_on lets the clocks that are not of the time of day go on from it, in a child, say. */
void clock_hold(void);
void clock_go_on(void);

#endif
