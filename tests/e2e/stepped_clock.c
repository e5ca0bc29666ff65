/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program: its wall clock is off by the seconds in the file that $STEPPED_CLOCK
 * names. The monotonic clock is as it was, as after a user has set the time. A second number there
 * is how long the machine has slept, which counts on the clock that goes on then.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SHOWN __attribute__((visibility("default")))

static long step(clockid_t clock)
{
    const char *name = getenv("STEPPED_CLOCK");
    FILE *file = name == NULL ? NULL : fopen(name, "r");
    long seconds = 0, slept = 0;

    if (file != NULL) {
        if (fscanf(file, "%ld %ld", &seconds, &slept) < 1)
            seconds = 0;
        fclose(file);
    }
    return clock == CLOCK_REALTIME ? seconds + slept : slept;
}

SHOWN int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*libcs)(clockid_t, struct timespec *);
    int result;

    if (libcs == NULL)
        *(void **)&libcs = dlsym(RTLD_NEXT, "clock_gettime");
    result = libcs(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME))
        now->tv_sec += step(clock);
    return result;
}

SHOWN time_t time(time_t *result)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_REALTIME, &now);
    if (result != NULL)
        *result = now.tv_sec;
    return now.tv_sec;
}
