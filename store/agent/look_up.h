/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address of the agent's name, for a process that can make no thread. libcurl looks each name
 * up in a thread of its own. Any thread; the calling thread waits for the resolver.
 */
#ifndef CONSUL_AGENT_LOOK_UP_H
#define CONSUL_AGENT_LOOK_UP_H

#include "agent/exchange.h"

/*
 * Look up the name for an exchange in which libcurl could not. Return true where the exchange has
 * the addresses now, and may run again until the deadline. Return false where this process can make
 * threads, where the name has no address, or where no time is left.
 */
bool consul_look_up_here(consul_exchange *exchange, consul_deadline deadline);

#endif
