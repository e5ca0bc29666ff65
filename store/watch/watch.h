/*
 * The watch of a store: the thread that keeps its entries fresh. Any thread; a fork leaves the child
 * without the thread.
 */
#ifndef CONSUL_WATCH_WATCH_H
#define CONSUL_WATCH_WATCH_H

#include "agent/agent.h"
#include "agent/request.h"
#include "cache/table.h"

typedef struct consul_watch consul_watch;

/* Borrows all three, which must outlive it. Starts nothing. */
consul_watch *consul_watch_new(const consul_agent *agent, consul_table *table, OSSL_LIB_CTX *libctx,
                               consul_error *err);

/* End its thread for good. */
void consul_watch_close(consul_watch *watch);
void consul_watch_free(consul_watch *watch);

/* A handshake begins that will ask. A process that has had one before watches from now on. */
void consul_watch_note_handshake(consul_watch *watch);

/*
 * Has the agent left this request without an answer, and not answered it since? Or any, and answered
 * nothing since? Then the reason of that, else 0.
 */
int consul_watch_agent_hangs(consul_watch *watch, const consul_request *request);

/* A request has failed, perhaps because it was left without an answer. */
void consul_watch_note_failure(consul_watch *watch, const consul_request *request,
                               const consul_answer *answer, const consul_error *err);

#endif
