/*
 * Time: one monotonic clock for the whole process, which goes on while the machine sleeps, where there
 * is one. Any thread; no call fails.
 */
#ifndef CONSUL_BASE_CLOCK_H
#define CONSUL_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A moment in milliseconds, by which a call must have returned. Each request is also bounded by
 * request_timeout.
 */
typedef int64_t consul_deadline;
#define CONSUL_NO_DEADLINE INT64_MAX
consul_deadline consul_deadline_after(int64_t milliseconds);

/* Return this moment on the clock, in milliseconds and in microseconds. */
int64_t consul_now_ms(void);
int64_t consul_now_us(void);

/* What a handshake, or whoever else asks, puts up with. */
typedef struct consul_asking {
    int64_t since; /* what was asked from here on is new enough; the same clock, in microseconds */
    consul_deadline deadline;
    bool hurries; /* a leaf is not held against roots that would have to be asked for */
} consul_asking;

/* Nothing from before now, and no deadline. */
consul_asking consul_asking_now(void);

/* About half of `most` to `most`, at random: so that processes do not act in step. */
int64_t consul_jitter(int64_t most);

#endif
