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
 * share the unix socket of an agent. They share its inode then, and may write to it. There a word
 * is a new time of modification. Each watch on that socket looks for one. It heeds the first word or
 * the second, by chance.
 */
#ifndef CONSUL_AGENT_SLOT_H
#define CONSUL_AGENT_SLOT_H

#include "agent/agent.h"

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/* The agent's unix socket as a watch has seen it last; zeros before that. */
typedef struct consul_slot_socket {
    ino_t inode;
    struct timespec modified;
    bool passed_over; /* the last word was not heeded */
} consul_slot_socket;

/*
 * Take a slot, and return its descriptor, which the caller closes. Return -1 where all are taken.
 */
int consul_slot_take(const consul_agent *agent);

/* Return true where another process has asked for this slot. The descriptor is readable then. */
bool consul_slot_is_asked_for(int fd);

/*
 * Return true where a process has asked by the agent's unix socket since the last call. It is for
 * each watch of that socket to look, some times a second.
 */
bool consul_slot_is_asked_by_socket(const consul_agent *agent, consul_slot_socket *seen);

/* Ask some watches for their slots, as the agent is crowded, and note the crowd. */
void consul_slot_ask_for_some(const consul_agent *agent);

/* Take no slot in this process for some seconds. */
void consul_slot_note_crowd(void);

/* Return true during these seconds. */
bool consul_slot_is_crowd(void);

#endif
