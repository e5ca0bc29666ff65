/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LEAP_US INT64_C(86400000000) /* a day, longer than any answer counts */

static _Atomic int64_t latest; /* the last moment of the chosen clock */
static _Atomic int64_t ahead;  /* of CLOCK_MONOTONIC, once the chosen clock has failed; else 0 */

static int64_t in_us(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000 + time->tv_nsec / 1000;
}

/*
 * Go on with CLOCK_MONOTONIC, a day after the last moment of a clock that has failed. So every earlier answer is old, and
 * no moment is in the future.
 */
static int64_t go_on(void)
{
    struct timespec now;
    int64_t none = 0;

    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return INT64_MAX / 2;
    atomic_compare_exchange_strong(&ahead, &none, atomic_load(&latest) + LEAP_US - in_us(&now));
    return in_us(&now) + atomic_load(&ahead);
}

/*
 * Read the clock of the process. After a sleep of the machine, an earlier answer is old. The first
 * call chooses the clock for all later ones, unless that clock fails.
 */
int64_t consul_now_us(void)
{
    static atomic_int chosen = -1;
    int clock = atomic_load_explicit(&chosen, memory_order_relaxed);
    struct timespec now;

    if (clock < 0) {
        clock = CLOCK_MONOTONIC;
#ifdef CLOCK_BOOTTIME
        if (clock_gettime(CLOCK_BOOTTIME, &now) == 0)
            clock = CLOCK_BOOTTIME;
#endif
        atomic_store_explicit(&chosen, clock, memory_order_relaxed);
    }
    if (atomic_load(&ahead) != 0 || clock_gettime(clock, &now) != 0)
        return go_on();
    atomic_store_explicit(&latest, in_us(&now), memory_order_relaxed);
    return in_us(&now);
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
    return (consul_asking){
        .since = consul_now_us(), .deadline = CONSUL_NO_DEADLINE, .connection = -1};
}

int64_t consul_jitter(int64_t most)
{
    struct timespec now;
    uint64_t mixed;

    clock_gettime(CLOCK_MONOTONIC, &now);
    mixed = ((uint64_t)now.tv_nsec ^ ((uint64_t)getpid() << 20)) * 0x9e3779b97f4a7c15u;
    return most / 2 + (int64_t)((mixed >> 33) % (uint64_t)(most / 2 + 1));
}

/*
 * Write the calendar date of a moment, by Howard Hinnant's civil_from_days. gmtime_r(3) takes a lock, which
 * stays locked in the child of a fork if another thread had it.
 */
void consul_time_text(int64_t moment, char text[CONSUL_TIME_MAX])
{
    int64_t days, seconds, era, day_of_era, year_of_era, day_of_year, month, day, year;

    seconds = (moment % 86400 + 86400) % 86400;
    days = (moment - seconds) / 86400 + 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    day_of_era = days - era * 146097;
    year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    month = (5 * day_of_year + 2) / 153;
    day = day_of_year - (153 * month + 2) / 5 + 1;
    month += month < 10 ? 3 : -9;
    year = year_of_era + era * 400 + (month <= 2);
    snprintf(text, CONSUL_TIME_MAX, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)year, (int)month,
             (int)day, (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
}

/* Return the days from 1970 to a date, by Howard Hinnant's days_from_civil. */
static int64_t days_to(int64_t year, int64_t month, int64_t day)
{
    int64_t era, year_of_era, day_of_year;

    year -= month <= 2;
    era = year / 400;
    year_of_era = year - era * 400;
    day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year
           - 719468;
}

/* Read a moment without timegm(3), which takes the same lock as gmtime_r(3). */
bool consul_time_parse(const char *text, int64_t *moment)
{
    int year, month, day, hour, minute, second, zone_hour = 0, zone_minute = 0, len = 0;

    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second,
               &len)
            != 6
        || year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23
        || minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    text += len;
    if (*text == '.')
        text += 1 + strspn(text + 1, "0123456789");
    if ((*text == '+' || *text == '-')
        && (sscanf(text + 1, "%2d:%2d%n", &zone_hour, &zone_minute, &len) != 2
            || text[1 + len] != '\0' || zone_hour < 0 || zone_hour > 23 || zone_minute < 0
            || zone_minute > 59))
        return false;
    if (*text != '+' && *text != '-' && strcmp(text, "Z") != 0)
        return false;
    *moment = ((days_to(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    *moment -= (*text == '-' ? -60 : 60) * (zone_hour * 60 + zone_minute);
    return true;
}
