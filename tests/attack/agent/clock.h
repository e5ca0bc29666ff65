/* SPDX-License-Identifier: Apache-2.0 */
/* The time of day in this process, which can be another one. No clock that only rises changes. */
#ifndef ATTACK_AGENT_CLOCK_H
#define ATTACK_AGENT_CLOCK_H

/* Set the time of day to that of the machine and so many seconds more. */
void clock_step(long seconds);

#endif
