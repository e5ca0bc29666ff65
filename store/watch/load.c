/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/load.h"

#include "base/event.h"
#include "base/lock.h"
#include "watch/state.h"

#define BUSY_PER_SECOND 20 /* peers of the mesh in a second that make a process busy */
#define BUSY_FOR_MS 2000   /* the time for which it stays busy, from the begin of that second */

/* Count a peer in the present second, with the lock held. Return true at the first peer of a second. */
static bool count_in_second(consul_watch *watch, int64_t now)
{
    int64_t passed = now - watch->second_began;
    bool is_first = passed >= 1000;

    if (is_first) {
        watch->busy = watch->in_second >= BUSY_PER_SECOND && passed < BUSY_FOR_MS;
        watch->second_began = now;
        watch->in_second = 0;
    }
    watch->in_second++;
    return is_first;
}

void consul_watch_note_peer(consul_watch *watch)
{
    int64_t now = consul_now_ms(), until;
    bool is_first;

    consul_lock();
    is_first = count_in_second(watch, now);
    until = watch->busy ? watch->second_began + BUSY_FOR_MS : 0;
    consul_unlock();
    if (is_first)
        consul_event_tell(&(consul_event){.kind = CONSUL_EVENT_LOAD, .until = until});
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
