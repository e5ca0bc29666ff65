/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watch of a store: the thread that keeps its entries fresh, by blocking queries
 * (https://developer.hashicorp.com/consul/api-docs/features/blocking).
 *
 * Handshakes use a fresh entry without a request, and ask for any other entry themselves. So a
 * right answer never needs the thread, and the thread gives up in any doubt.
 *
 * An agent takes 200 connections from a host (limits.http_max_conns_per_client). It resets all
 * beyond, those of questions too. The thread holds three connections at most, one for each lane. The
 * first lane is for the roots. The second is for the leaf that is used most. The third is for a busy
 * process with clients. It has the intentions of the service that most clients came to. Handshakes
 * would ask about them each time. In a process that is not busy, roots that are asked for ahead have its connection. Only the processes with a slot (agent/slot.h) watch. Others ask. A
 * process gives its watch up before a question goes without a connection.
 *
 * The thread also repeats the requests that the agent has left without an answer, on further
 * connections. Handshakes do not wait for them meanwhile.
 *
 * Any thread may call these functions. A fork leaves the child without the thread.
 */
#ifndef CONSUL_WATCH_WATCH_H
#define CONSUL_WATCH_WATCH_H

#include "agent/agent.h"
#include "agent/request.h"
#include "cache/table.h"

typedef struct consul_watch consul_watch;

/*
 * Return a watch without a thread. It borrows all four, which must outlive it. The family may be NULL. Return NULL with
 * an error without memory.
 */
consul_watch *consul_watch_new(const consul_agent *agent, consul_family *family,
                               consul_table *table, OSSL_LIB_CTX *libctx, consul_error *err);

/* End the thread for good, and wait for its end. */
void consul_watch_close(consul_watch *watch);

/* Close the watch and free it. NULL is allowed. */
void consul_watch_free(consul_watch *watch);

/* Note that a handshake begins. The second handshake of a process starts the thread. */
void consul_watch_note_handshake(consul_watch *watch);

/*
 * Start the thread in the first handshake of a process, whose peer is of the mesh. The family must have no watch, and have had
 * another such peer. Strangers start no thread.
 */
void consul_watch_begin_early(consul_watch *watch);

/*
 * Return the reason not to wait for this request, enum consul_reason, or 0. The agent has left it
 * without an answer and has not answered it since, or it hangs.
 */
int consul_watch_agent_hangs(consul_watch *watch, const consul_request *request);

/*
 * Note that a request has failed, perhaps for lack of an answer. Then the thread probes the agent.
 */
void consul_watch_note_failure(consul_watch *watch, const consul_request *request,
                               const consul_answer *answer, const consul_error *err);

#endif
