/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS of a connection to the agent. Any thread. */
#ifndef CONSUL_AGENT_AGENT_TLS_H
#define CONSUL_AGENT_AGENT_TLS_H

#include "agent/exchange.h"

/* Refuse a file of the settings that libcurl could wait for without end. Return 0 with an error then. */
int consul_agent_tls_check(const consul_exchange *exchange, consul_error *err);

/* Set the TLS options of an exchange by the settings of its agent. Return 0 where libcurl refuses one. */
int consul_agent_tls_set(consul_exchange *exchange);

#endif
