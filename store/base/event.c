/* SPDX-License-Identifier: Apache-2.0 */
#include "base/event.h"

#include <stdatomic.h>
#include <stddef.h>

static _Atomic(consul_event_fn *) listener;

void consul_event_listen(consul_event_fn *told)
{
    atomic_store(&listener, told);
}

void consul_event_tell(const consul_event *event)
{
    consul_event_fn *told = atomic_load_explicit(&listener, memory_order_relaxed);

    if (told != NULL)
        told(event);
}
