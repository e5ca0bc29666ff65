/* SPDX-License-Identifier: Apache-2.0 */
/* The governed side, its peers and its agent. One set of them in a process, used by one thread. */
#ifndef ATTACK_SCARCE_PARTIES_H
#define ATTACK_SCARCE_PARTIES_H

#include <stdbool.h>
#include <time.h>

enum party { FRIEND, FOE, STRANGER, PARTIES };

/*
 * Make the parties and start the agent. `more` are more lines for openssl.cnf. A process that `logs_in` has them for a
 * login, which the agent grants. With `secure` the agent speaks HTTPS. The module is loaded at once, or `later` by
 * parties_load.
 */
void parties_set_up(const char *more, bool logs_in, bool later, bool watchable, bool secure);
void parties_tear_down(void);
void parties_load(void);

/* Return true where the module governs this process. */
bool parties_are_governed(void);

/* Give the mesh another CA, and each party a leaf of it. */
void parties_rotate(void);

/*
 * Make a handshake, and return true where data came through to either side. Only the governed side runs with a
 * shortage. A governed client asks for the service "friend", as which the stranger poses.
 */
bool parties_talk(bool is_client, enum party peer);

/* Call a function once, before this turn of the governed side; from 1 on. */
void parties_interrupt(int turn, void (*by)(void));

/* Return the number of threads of this process. */
int parties_threads(void);

/* Return the seconds of a clock that no shortage changes. */
time_t parties_seconds(void);

#endif
