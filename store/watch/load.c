/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/load.h"

#include "base/lock.h"
#include "watch/state.h"

#define BUSY_PER_SECOND 20 /* peers of the mesh in a second that make a process busy */
#define BUSY_FOR_MS 2000   /* the time for which it stays busy, from the begin of that second */

/* Count a peer in the present second, with the lock held. */
static void count_in_second(consul_watch *watch, int64_t now)
{
    int64_t passed = now - watch->second_began;

    if (passed >= 1000) {
        watch->busy = watch->in_second >= BUSY_PER_SECOND && passed < BUSY_FOR_MS;
        watch->second_began = now;
        watch->in_second = 0;
    }
    watch->in_second++;
}

void consul_watch_note_peer(consul_watch *watch)
{
    int64_t now = consul_now_ms();

    consul_lock();
    count_in_second(watch, now);
    consul_unlock();
}

bool consul_watch_is_busy(consul_watch *watch)
{
    int64_t now = consul_now_ms();
    bool busy;

    consul_lock();
    busy = watch->busy && now - watch->second_began < BUSY_FOR_MS;
    consul_unlock();
    return busy;
}
