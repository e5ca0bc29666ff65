/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lock.h"

#include <time.h>

#define LONGEST_WAIT_MS 3600000 /* between two looks at the deadline */

static pthread_mutex_t live_lock = PTHREAD_MUTEX_INITIALIZER;

void consul_lock(void)
{
    pthread_mutex_lock(&live_lock);
}

void consul_unlock(void)
{
    pthread_mutex_unlock(&live_lock);
}

void consul_lock_renew(void)
{
    pthread_mutex_init(&live_lock, NULL);
}

bool consul_condition_make(pthread_cond_t *condition)
{
    pthread_condattr_t monotonic;
    bool made;

    if (pthread_condattr_init(&monotonic) != 0)
        return false;
    made = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0
           && pthread_cond_init(condition, &monotonic) == 0;
    pthread_condattr_destroy(&monotonic);
    return made;
}

/* Wait by the remaining time. Conditions know no clock that goes on while the machine sleeps. */
bool consul_condition_wait(pthread_cond_t *condition, consul_deadline deadline)
{
    int64_t left = deadline - consul_now_ms();
    struct timespec until;

    if (left > LONGEST_WAIT_MS)
        left = LONGEST_WAIT_MS;
    if (left <= 0)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(left / 1000);
    until.tv_nsec += (long)(left % 1000 * 1000000);
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(condition, &live_lock, &until);
    return consul_now_ms() < deadline;
}
