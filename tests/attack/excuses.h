/* SPDX-License-Identifier: Apache-2.0 */
/* The rows that the exceptions of oracle.h have excused. One thread. */
#ifndef ATTACK_EXCUSES_H
#define ATTACK_EXCUSES_H

#include "oracle.h"

/* Count a row of an exception, with data at any or at all ends. */
void excuses_count(const exception *what, bool any, bool all);

/* Return true if a row has needed this exception, or where this OpenSSL has no such rows. */
bool excuses_was_needed(const exception *what);

/* Print the counts. After a whole run, return the number of exceptions that no row has needed. */
int excuses_tell(bool is_whole);

#endif
