/* A clock that goes on by handshakes alone. */
#ifndef BENCH_PACED_CLOCK_H
#define BENCH_PACED_CLOCK_H

/*
 * So many come first, some at a time, until a process knows what it will know: that it is busy, and what
 * the agent has decided for long enough to count on.
 */
#define PACED_WARM 200

/*
 * Tell the clock of another handshake. The function is there where paced_clock.so is preloaded, and
 * nowhere else. For one thread.
 */
__attribute__((weak)) void paced_clock_tick(void);

#endif
