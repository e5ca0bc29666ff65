/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations that fail in this process, in all its threads. They are of libcurl, jansson, libc and the module.
 * test_tls_torture has those of libcrypto. In a build with a sanitizer none fails, as that has its own allocator.
 */
#ifndef ATTACK_AGENT_MEMORY_H
#define ATTACK_AGENT_MEMORY_H

/* Take libcrypto's allocations out of the count. Call it before anything of libcrypto. */
void memory_set_up(void);

/* Let the allocations of these numbers fail, from 1 on. Count them from now on. */
void memory_arm(long first, long last);

/* Let none fail for a while, and go on after it. */
void memory_pause(void);
void memory_go_on(void);

/* Let all succeed again. Return the number of allocations since memory_arm. */
long memory_disarm(void);

#endif
