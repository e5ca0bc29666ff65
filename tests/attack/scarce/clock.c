/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define OUTSIDE __attribute__((visibility("default")))
#define SECOND 1000000000L

OUTSIDE int clock_gettime(clockid_t id, struct timespec *now);
OUTSIDE time_t time(time_t *result);
OUTSIDE int gettimeofday(struct timeval *restrict now, void *restrict zone);

static atomic_long step;
static atomic_long stood_at;   /* seconds of the day's time, or 0 */
static atomic_long back;       /* ns that the other clocks are behind */
static atomic_long stopped_at; /* ns of the other clocks, or 0 */
static long held;              /* ns */

static long monotonic(void)
{
    struct timespec now;

    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

void clock_step(long seconds)
{
    atomic_store(&step, seconds);
}

void clock_stand(bool stands)
{
    struct timespec now;

    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    atomic_store(&stood_at, stands ? now.tv_sec : 0);
}

void clock_stop(bool stops)
{
    long now = monotonic() - atomic_load(&back), stopped = atomic_load(&stopped_at);

    if (!stops && stopped != 0)
        atomic_fetch_add(&back, now - stopped);
    atomic_store(&stopped_at, stops ? now : 0);
}

void clock_hold(void)
{
    held = monotonic();
}

void clock_go_on(void)
{
    atomic_store(&back, monotonic() - held);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, id, now);
    long ns;

    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        if (atomic_load(&stood_at) != 0)
            *now = (struct timespec){.tv_sec = atomic_load(&stood_at)};
        now->tv_sec += atomic_load(&step);
    } else if (result == 0 && (id == CLOCK_MONOTONIC || id == CLOCK_BOOTTIME)) {
        ns = atomic_load(&stopped_at);
        if (ns == 0)
            ns = now->tv_sec * SECOND + now->tv_nsec - atomic_load(&back);
        *now = (struct timespec){.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
    }
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
