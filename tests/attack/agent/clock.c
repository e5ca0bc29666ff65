/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define OUTSIDE __attribute__((visibility("default")))

OUTSIDE int clock_gettime(clockid_t id, struct timespec *now);
OUTSIDE time_t time(time_t *result);
OUTSIDE int gettimeofday(struct timeval *restrict now, void *restrict zone);

static atomic_long step;

void clock_step(long seconds)
{
    atomic_store(&step, seconds);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, id, now);

    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += atomic_load(&step);
    return result;
}

time_t time(time_t *result)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (result != NULL)
        *result = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    int result = clock_gettime(CLOCK_REALTIME, &exact);

    *now = (struct timeval){.tv_sec = exact.tv_sec, .tv_usec = exact.tv_nsec / 1000};
    return result;
}
