/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of the log about a process that governs TLS: its start, its leaves and roots, its agent. A family of
 * processes writes each statement once. Any thread.
 */
#ifndef PROV_REPORT_EVENTS_H
#define PROV_REPORT_EVENTS_H

#include "report/line.h"

/* Have the events of the stores written, for processes that govern something. */
void prov_events_listen(void);

/*
 * Note a governed handshake. Return true once in a family, when the line of the start is due. It is due at the
 * first handshake of a server, and at the second one of a client. A command that connects once writes no such line.
 */
bool prov_events_note_handshake(bool is_server);

#endif
