/* SPDX-License-Identifier: Apache-2.0 */
/* Advice for the error text of an exchange with the agent that has failed. Any thread. */
#ifndef CONSUL_AGENT_HINT_H
#define CONSUL_AGENT_HINT_H

#include "agent/exchange.h"

#define CONSUL_HINT_MAX 640

/*
 * Write what a user can do about an exchange that ended with this code and status, as " (...)"; or "". Never
 * shows a secret.
 */
void consul_hint_write(const consul_exchange *exchange, CURLcode code, long status,
                       char hint[CONSUL_HINT_MAX]);

#endif
