/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS of a connection to the agent. Any thread. */
#ifndef CONSUL_AGENT_AGENT_TLS_H
#define CONSUL_AGENT_AGENT_TLS_H

#include "agent/exchange.h"

/* Set the TLS options of an exchange by the settings of its agent. Return 0 where libcurl refuses one. */
int consul_agent_tls_set(consul_exchange *exchange);

#endif
