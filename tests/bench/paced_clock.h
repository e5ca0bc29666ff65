/* SPDX-License-Identifier: Apache-2.0 */
/* A clock that goes on by handshakes alone. */
#ifndef BENCH_PACED_CLOCK_H
#define BENCH_PACED_CLOCK_H

/*
 * The number of slow ticks at first. After them a process knows that it is busy, and has verdicts
 * that are old enough to count on.
 */
#define PACED_WARM 200

/*
 * Tell the clock of another handshake. The function is there where paced_clock.so is preloaded, and
 * nowhere else. For one thread.
 */
__attribute__((weak)) void paced_clock_tick(void);

#endif
