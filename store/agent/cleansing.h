/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of libcurl and jansson, which held tokens and private keys: freed memory, and a thread's stack and registers. Both libraries take the functions
 * for their memory from a program, for all of its threads. The functions here overwrite memory before it is
 * freed. The rest of them is the C library's, and its free(3) may free the memory, too. Any thread.
 */
#ifndef CONSUL_AGENT_CLEANSING_H
#define CONSUL_AGENT_CLEANSING_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Return true where the size of an allocation can be asked for. A program with an allocator of its own may have
 * none that tells it.
 */
bool consul_cleansing_is_possible(void);

/* Overwrite the memory, and free it. NULL is allowed. */
void consul_cleansing_free(void *memory);

/* Return memory of another size, as realloc(3) does. Overwrite the memory in its earlier place. */
void *consul_cleansing_realloc(void *memory, size_t size);

/*
 * Overwrite the stack below the caller, and the vector registers, after a request of this thread. libcurl copies the header
 * with the token by these. The loader saves these on the stack where libcurl, or the host later, calls a function for the first time.
 */
void consul_cleanse_traces(void);

#endif
