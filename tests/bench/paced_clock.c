/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program under callgrind, which is slow. Its clocks go on by its handshakes, as
 * many a second as without callgrind. So the process is as busy as elsewhere, and does its periodic
 * work as often.
 */
#include "paced_clock.h"

#include <stdatomic.h>
#include <time.h>

#define SHOWN __attribute__((visibility("default")))

#define WARM_NS 45000000 /* 22 a second are busy, and let time pass */
#define BUSY_NS 1500000  /* the time of a handshake on one core */

static _Atomic long long passed_ns = 1000000000; /* a clock that is not 0 */
static long ticks;

SHOWN void paced_clock_tick(void)
{
    passed_ns += ticks++ < PACED_WARM ? WARM_NS : BUSY_NS;
}

/* Store the paced time. The date, by time(3), is the real one. */
SHOWN int clock_gettime(clockid_t clock, struct timespec *now)
{
    long long ns = passed_ns;

    now->tv_sec = clock == CLOCK_REALTIME ? time(NULL) : ns / 1000000000;
    now->tv_nsec = clock == CLOCK_REALTIME ? 0 : ns % 1000000000;
    return 0;
}
