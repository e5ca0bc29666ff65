/* The slots of the processes of this host that may watch. Any thread. */
#ifndef CONSUL_AGENT_SLOT_H
#define CONSUL_AGENT_SLOT_H

#include "agent/agent.h"
#include <stdbool.h>

/* A slot, as a descriptor to be closed; -1 where all are taken. */
int consul_slot_take(const consul_agent *agent);

/* Has somebody asked for this slot? It is readable when that may be so. */
bool consul_slot_is_asked_for(int fd);

/* The agent has too many connections: ask some who watch for what they hold. */
void consul_slot_ask_for_some(const consul_agent *agent);

/* Take no slot in this process for a while; and is that so now? */
void consul_slot_note_crowd(void);
bool consul_slot_is_crowd(void);

#endif
