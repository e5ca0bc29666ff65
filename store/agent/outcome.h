/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outcome of an exchange that has ended with a code of libcurl, as the state of its agent.
 * Any thread. The exchange stays its owner's.
 */
#ifndef CONSUL_AGENT_OUTCOME_H
#define CONSUL_AGENT_OUTCOME_H

#include "agent/exchange.h"

/* Return the HTTP status of the answer, or 0 without one. */
long consul_exchange_status(const consul_exchange *exchange);

/*
 * Return true where a newer agent has said that it is crowded. It says so before it has read a
 * request, and closes the connection. A request on its way then makes it a reset. Other limits have
 * the same status.
 */
bool consul_exchange_was_told_of_crowd(const consul_exchange *exchange);

/*
 * Return true where the agent was crowded. It cuts a connection off before any answer then. A newer
 * agent gives the reason first.
 */
bool consul_exchange_was_crowded_out(const consul_exchange *exchange, CURLcode code);

/*
 * Return true where the agent refused one request of too many, as for more leaves than it may sign.
 */
bool consul_exchange_was_limited(const consul_exchange *exchange, CURLcode code);

/*
 * Return true where the exchange took too long. A handshake with too little time left does not
 * count. Neither does an answer that this process was too slow to read.
 */
bool consul_exchange_was_unanswered(const consul_exchange *exchange, CURLcode code);

/*
 * Return true where the agent is lost. Then no program of this host reaches it, it hangs, or it
 * answers with status 5xx. The status of a login tells nothing about the agent. A lack of resources
 * in this process or in the agent is no loss. A local user could cause it. A resolver that hangs is
 * no loss, either.
 */
bool consul_exchange_found_loss(const consul_exchange *exchange, CURLcode code);

/* Return true where Consul does not know the token: it was deleted, or has ended. */
bool consul_exchange_was_disowned(const consul_exchange *exchange, CURLcode code);

/* Remember the addresses that gave no connection where another did, or forget them: attempts.h. */
void consul_exchange_learn(const consul_exchange *exchange, CURLcode code);

/*
 * Return the longest milliseconds to wait for libcurl's next event. libcurl 7.88 sleeps on
 * where it has given up an address, and opens no connection to the next one meanwhile.
 */
int consul_exchange_patience(const consul_exchange *exchange, int most);

#endif
