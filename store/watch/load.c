/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/load.h"

#include "base/event.h"
#include "base/lock.h"
#include "watch/state.h"

#define BUSY_PER_SECOND 20 /* peers of the mesh in a second that make a process busy */
#define BUSY_FOR_MS 2000   /* the time for which it stays busy, from the begin of that second */

/* Return the load of the family, or of this process where nothing is shared. */
static consul_load *load_of(consul_watch *watch)
{
    consul_load *shared = consul_family_load(watch->family);

    return shared == NULL ? &watch->load : shared;
}

/* Count a peer in the present second. Return true for the first one that does in a new second. */
static bool count_in_second(consul_load *load, int64_t now)
{
    int64_t began = atomic_load(&load->second_began), passed = now - began;
    unsigned before;
    bool is_first = (passed >= 1000 || passed < 0)
                    && atomic_compare_exchange_strong(&load->second_began, &began, now);

    before = is_first ? atomic_exchange(&load->in_second, 0) : 0;
    atomic_fetch_add(&load->in_second, 1);
    if (is_first)
        atomic_store(&load->busy_until,
                     before >= BUSY_PER_SECOND && passed > 0 && passed < BUSY_FOR_MS
                         ? now + BUSY_FOR_MS
                         : 0);
    return is_first;
}

void consul_watch_note_peer(consul_watch *watch)
{
    consul_load *load = load_of(watch);

    if (count_in_second(load, consul_now_ms()))
        consul_event_tell(
            &(consul_event){.kind = CONSUL_EVENT_LOAD, .until = atomic_load(&load->busy_until)});
}

bool consul_watch_is_busy(consul_watch *watch)
{
    int64_t left = atomic_load(&load_of(watch)->busy_until) - consul_now_ms();

    return left > 0 && left <= BUSY_FOR_MS;
}

bool consul_watch_is_first_of_busy(consul_watch *watch)
{
    unsigned handshakes;

    consul_lock();
    handshakes = watch->handshakes;
    consul_unlock();
    return handshakes == 1 && consul_watch_is_busy(watch);
}
