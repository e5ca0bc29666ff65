/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of the process, where the kernel refuses to tell it. */
#include "unit.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"

#define SECOND INT64_C(1000000) /* in microseconds */
#define SLEPT_S 7200            /* how long the machine has slept */
#define DAY (86400 * SECOND)

static bool fails; /* a filter of system calls, from now on */
static time_t later;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);

    if (clock == CLOCK_BOOTTIME && fails) {
        errno = EPERM;
        return -1;
    }
    now->tv_sec += later + (clock == CLOCK_BOOTTIME ? SLEPT_S : 0);
    return result;
}

/* Every earlier answer is old then, and later answers grow old. The clock that failed does not count again. */
static void test_a_clock_that_fails(void **state)
{
    int64_t before = consul_now_us(), moments[3];

    fails = true;
    moments[0] = consul_now_us();
    later = 5;
    moments[1] = consul_now_us();
    fails = false;
    later = 10;
    moments[2] = consul_now_us();
    assert_between(moments[0] - before, DAY, DAY + 2 * SECOND);
    assert_between(moments[1] - moments[0], 5 * SECOND, 7 * SECOND);
    assert_between(moments[2] - moments[0], 10 * SECOND, 12 * SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_clock_that_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
