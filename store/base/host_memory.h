/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that the host gives to libcrypto (CRYPTO_set_mem_functions). Kamailio gives it memory that all its
 * processes write to. The state of a process cannot be there: its threads, locks and descriptors are of one process.
 * Any thread.
 */
#ifndef CONSUL_BASE_HOST_MEMORY_H
#define CONSUL_BASE_HOST_MEMORY_H

#include <stdbool.h>

/*
 * Return true where forked processes of the host would write to this allocation of libcrypto's. Return true, too, where
 * the host has functions of its own and the kernel does not tell.
 */
bool consul_memory_is_shared(const void *allocation);

#endif
