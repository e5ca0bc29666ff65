/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time: one monotonic clock for the whole process. It goes on while the machine sleeps, where the
 * system has such a clock (CLOCK_BOOTTIME). Pure functions, for any thread. No call fails.
 */
#ifndef CONSUL_BASE_CLOCK_H
#define CONSUL_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The latest moment for the return of a call, in milliseconds. request_timeout bounds each request,
 * too.
 */
typedef int64_t consul_deadline;
#define CONSUL_NO_DEADLINE INT64_MAX

/* Return the moment so many milliseconds from now. */
consul_deadline consul_deadline_after(int64_t milliseconds);

/* Return the present moment on the clock, in milliseconds and in microseconds. */
int64_t consul_now_ms(void);
int64_t consul_now_us(void);

/* How new the store's answer to one caller must be, and how long the caller waits for it. */
typedef struct consul_asking {
    int64_t since; /* the earliest request whose answer is new enough, in microseconds */
    consul_deadline deadline;
    bool hurries;   /* true where a leaf is not checked against roots that need a request */
    bool strict;    /* true where old roots are good only while the agent is lost */
    int connection; /* its descriptor, or -1 */
} consul_asking;

/* Return the needs of a caller for an answer from now on, without a deadline. */
consul_asking consul_asking_now(void);

/*
 * Return a random time from half of `most` to `most`, in its unit. Processes then act out of step.
 */
int64_t consul_jitter(int64_t most);

#define CONSUL_TIME_MAX 32

/* Write a moment in seconds since 1970, as in 2026-11-22T23:51:37Z. Takes no lock, unlike gmtime_r(3). */
void consul_time_text(int64_t moment, char text[CONSUL_TIME_MAX]);

/*
 * Read a moment of RFC 3339, as in 2026-11-22T23:51:37.25+01:00, in seconds since 1970. A fraction does not count. Return false for
 * another text.
 */
bool consul_time_parse(const char *text, int64_t *moment);

#endif
