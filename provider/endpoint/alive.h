/* SPDX-License-Identifier: Apache-2.0 */
/* The SSLs of this process, by address. Any thread; no lock, which a fork might leave held. */
#ifndef PROV_ENDPOINT_ALIVE_H
#define PROV_ENDPOINT_ALIVE_H

#include <stdbool.h>

void alive_add(const void *ssl);
void alive_remove(const void *ssl);

/*
 * Return true if there is an SSL at this address. It is not looked at. False also where there are too
 * many, and for the SSLs that were made before the provider was loaded. An SSL that is freed without memory stays, where
 * the program has more than seven numbers (endpoint.c).
 */
bool alive_has(const void *ssl);

#endif
