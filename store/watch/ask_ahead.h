/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions ahead, of the thread of a watch (cache/ahead.h). Without them a quiet process waits for two requests in a
 * handshake: for the roots, and about its peer. No handshake needs the answers. In any doubt it asks by itself.
 */
#ifndef CONSUL_WATCH_ASK_AHEAD_H
#define CONSUL_WATCH_ASK_AHEAD_H

#include "watch/state.h"

/*
 * The greatest age of an answer that was there before its handshake needed it, from the moment of the question. An answer
 * that a handshake waits for counts like that to its own question.
 */
#define CONSUL_AHEAD_AGE_US 100000

/*
 * Have the thread ask for these roots, and the question with this body. Either may be NULL. It takes `body`. A process
 * without the thread starts it for a question, and asks for no roots alone. Any thread may call this.
 */
void consul_watch_ask_ahead(consul_watch *watch, consul_entry *of_roots, char *body,
                            consul_deadline deadline);

/*
 * Wait for the roots, where they were asked for at `since` or later. The answer is kept then. Any thread.
 */
void consul_watch_await_roots(consul_watch *watch, const consul_entry *of_roots, int64_t since,
                              consul_deadline deadline);

/*
 * Wait for the answer to the question with this body, where it was asked at `since` or later. Return true for a yes that
 * counts. `*asked` is the moment of the question then, in milliseconds. Any thread.
 */
bool consul_watch_knows_ahead(consul_watch *watch, const char *body, int64_t since,
                              consul_deadline deadline, int64_t *asked);

#endif
