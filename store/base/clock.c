#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

/*
 * Read the clock of the process. After a sleep of the machine, an earlier answer is old. The first
 * call chooses the clock for all later ones. Where it cannot be read any more, every answer is old.
 */
static void read_clock(struct timespec *now)
{
    static atomic_int chosen = -1;
    int clock = atomic_load_explicit(&chosen, memory_order_relaxed);

    if (clock < 0) {
        clock = CLOCK_MONOTONIC;
#ifdef CLOCK_BOOTTIME
        if (clock_gettime(CLOCK_BOOTTIME, now) == 0)
            clock = CLOCK_BOOTTIME;
#endif
        atomic_store_explicit(&chosen, clock, memory_order_relaxed);
    }
    if (clock_gettime(clock, now) != 0)
        *now = (struct timespec){.tv_sec = INT64_MAX / 2000000};
}

int64_t consul_now_us(void)
{
    struct timespec now;

    read_clock(&now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t consul_now_ms(void)
{
    return consul_now_us() / 1000;
}

consul_deadline consul_deadline_after(int64_t milliseconds)
{
    return consul_now_ms() + milliseconds;
}

consul_asking consul_asking_now(void)
{
    return (consul_asking){.since = consul_now_us(), .deadline = CONSUL_NO_DEADLINE};
}

int64_t consul_jitter(int64_t most)
{
    struct timespec now;
    uint64_t mixed;

    clock_gettime(CLOCK_MONOTONIC, &now);
    mixed = ((uint64_t)now.tv_nsec ^ ((uint64_t)getpid() << 20)) * 0x9e3779b97f4a7c15u;
    return most / 2 + (int64_t)((mixed >> 33) % (uint64_t)(most / 2 + 1));
}
