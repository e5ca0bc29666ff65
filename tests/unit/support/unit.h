/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of every unit test: cmocka, after the headers that it wants first. */
#ifndef CONSUL_TEST_UNIT_H
#define CONSUL_TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Fail unless `text` holds `part`; both are shown. */
static inline void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static inline void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("\"%s\" should not be in \"%s\"", part, text);
}

/* Fail unless low <= value <= high. cmocka 2 has other names for this than cmocka 1. */
#define assert_between(value, low, high)                                              \
    do {                                                                              \
        long long between_value = (long long)(value), between_low = (long long)(low), \
                  between_high = (long long)(high);                                   \
        if (between_value < between_low || between_value > between_high)              \
            fail_msg("%lld is not within %lld and %lld", between_value, between_low,  \
                     between_high);                                                   \
    } while (0)

/* Fail unless this error was set, has this reason and says `part`. */
#define assert_error(err, expected_reason, part)            \
    do {                                                    \
        assert_int_equal((err)->reason, (expected_reason)); \
        assert_contains((err)->text, (part));               \
    } while (0)

#endif
