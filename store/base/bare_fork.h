/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bare forks: those of which no handler is told (pthread_atfork). A program makes one by the system call, for namespaces say,
 * or by _Fork. Linux wipes a word of the memory in each child, since 4.14. Older kernels do not tell of bare forks.
 */
#ifndef CONSUL_BASE_BARE_FORK_H
#define CONSUL_BASE_BARE_FORK_H

#include <stdbool.h>

/* Begin to look for bare forks, once in a process and its children. */
void consul_bare_fork_expect(void);

/*
 * Return true in the child of a bare fork, to one thread. It makes the child a process of its own, and calls
 * consul_bare_fork_settle. Other threads wait here for that. Any thread, without a lock.
 */
bool consul_bare_fork_begins(void);

/* Note that this process is one of its own. The handler of an ordinary fork calls it in the child, too. */
void consul_bare_fork_settle(void);

#endif
