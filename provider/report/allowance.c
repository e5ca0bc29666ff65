/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allowance of lines: a peer that is refused a thousand times a second must not fill the disk. A process
 * shares it with its children. A child for each connection would begin with a new allowance.
 */
#include "report/allowance.h"

#include "report/family.h"
#include "store.h"

#include <time.h>

#define LINE_MS (1000 / PROV_LOG_PER_SECOND)
#define AHEAD_MS \
    1000 /* of this process, by the clock of another processor, which is never so far */

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool prov_log_allowance_take(void)
{
    prov_family *family = prov_family_memory();
    int64_t spent = atomic_load(&family->spent_until), now = now_ms(), next;

    do {
        /* A moment far ahead was written by a process with another clock, or by one that wants silence. */
        next = spent > now + AHEAD_MS ? 0 : spent;
        if (!consul_allowance_take(&next, now, LINE_MS, PROV_LOG_BURST)) {
            prov_log_allowance_leave_out(1);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&family->spent_until, &spent, next));
    return true;
}

void prov_log_allowance_leave_out(unsigned long lines)
{
    atomic_fetch_add(&prov_family_memory()->left_out, lines);
}

unsigned long prov_log_allowance_left_out(void)
{
    return atomic_exchange(&prov_family_memory()->left_out, 0);
}
