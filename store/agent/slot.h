/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slots of the processes of this host that may watch. A slot is a name in Linux's abstract
 * socket namespace. The kernel frees it at the end of its owner. A forked child closes the
 * descriptor it inherits. Any thread.
 *
 * Watches hold connections that another process may need for a question. A process that was refused
 * a connection twice sends a word to some slots. Their owners end their watches. Other watches
 * stay. A local user who takes all slots, or sends words all the time, slows others down and no
 * more.
 *
 * Slots belong to a network namespace, as that of a container. Processes of several namespaces may
 * share the directory of an agent's unix socket. There a word is a lock on that directory, for the
 * time of a request. Each watch on such a socket looks for one. It heeds the first one that it
 * sees or the second, by chance. A local user who can read the directory can send words all the time.
 */
#ifndef CONSUL_AGENT_SLOT_H
#define CONSUL_AGENT_SLOT_H

#include "agent/agent.h"
#include "base/descriptor.h"

#include <stdbool.h>

/*
 * Take a slot, and return its descriptor, which the caller closes. Return -1 where all are taken.
 */
int consul_slot_take(const consul_agent *agent);

/* Return true where another process has asked for this slot. The descriptor is readable then. */
bool consul_slot_is_asked_for(int fd);

/*
 * Return true where another process asks by a lock now. It is for each watch to look, some times a
 * second. `*passed_over` is the watch's own, and false at first.
 */
bool consul_slot_is_asked_by_lock(const consul_agent *agent, bool *passed_over);

/*
 * Ask some watches for their slots, as the agent is crowded, and note the crowd. A word by a lock
 * lasts until the caller closes `*word`, which is consul_no_descriptor at first.
 */
void consul_slot_ask_for_some(const consul_agent *agent, consul_descriptor *word);

/* Take no slot in this process for some seconds. */
void consul_slot_note_crowd(void);

/* Return true during these seconds. */
bool consul_slot_is_crowd(void);

#endif
