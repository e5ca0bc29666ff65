/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/asking.h"

#include "endpoint/fields.h"

#define ASKED_ONCE_US 1000000 /* of a handshake, in which nothing is asked twice */

consul_asking endpoint_begin_asking(endpoint *e)
{
    consul_asking asking = consul_asking_now();

    asking.hurries = true;
    if (!e->asked)
        consul_store_note_handshake(e->store);
    /* A peer may take its time, beside what the agent took, and is verified by what counts then. */
    if (!e->asked || asking.since - e->asked_since - 1000 * e->waited > ASKED_ONCE_US)
        e->asked_since = asking.since;
    e->asked = true;
    asking.since = e->asked_since;
    asking.deadline =
        consul_deadline_after(consul_store_settings(e->store)->authorize_timeout - e->waited);
    return asking;
}

void endpoint_end_asking(endpoint *e, const consul_asking *asking)
{
    e->waited = consul_deadline_after(consul_store_settings(e->store)->authorize_timeout)
                - asking->deadline;
}

void endpoint_ask_for_roots_ahead(endpoint *e)
{
    if (e->store != NULL && !e->asked)
        consul_store_ask_ahead(e->store, endpoint_begin_asking(e), false);
}
