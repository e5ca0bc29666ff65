/* SPDX-License-Identifier: Apache-2.0 */
/* The callers of an allocation. One thread at a time. */
#ifndef ATTACK_SCARCE_SITES_H
#define ATTACK_SCARCE_SITES_H

#include "shim.h"

/* Load the library that looks at the stack. Call it first. */
void sites_load(void);

/* Return the site of the caller's caller. */
site sites_look(void);

/* Return true in the handler of a signal that comes from libcrypto. */
bool sites_crash_is_openssls(void);

#endif
