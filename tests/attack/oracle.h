/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict on a row: data flows if and only if the peer is allowed. Each exception has a name and the page
 * that states it. Plain data; any thread.
 */
#ifndef ATTACK_ORACLE_H
#define ATTACK_ORACLE_H

#include "row.h"

enum expected { EXPECT_DATA, EXPECT_SILENCE, EXPECT_EITHER };

/* An exception. `applies` tells of which rows it speaks. */
typedef struct exception {
    const char *name;
    const char *page; /* the page that documents it */
    bool (*applies)(const row *r);
} exception;

/* Ways in, which no library can close (SECURITY.md); and refusals of allowed peers (doc/limits.md). */
extern const exception oracle_ways_in[], oracle_refusals[];

/* Return true for an application that has nothing to do with the mesh, and neither has its peer. */
bool oracle_is_ordinary(const row *r);

/* Return true for an ordinary application that the provider touches: doc/limits.md has the reasons. */
bool oracle_is_touched(const row *r);

/*
 * Return true where the handshake of a peer that is kept out fails, too. It is stopped and ends well where the application
 * makes its SSL resume. It also does where the verification is a server's first turn that comes to us. libssl has taken the
 * info callback by then.
 */
bool oracle_fails_at_once(const row *r);

/* Return what has to happen, by the certificate that was shown. *why is the exception that was met, or NULL. */
enum expected oracle_expects(const row *r, bool renegotiated, enum shown shown,
                             const exception **why);

#endif
