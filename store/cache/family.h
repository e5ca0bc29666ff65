/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers that the processes of a family share. A family is a process that has made a store, and its children by
 * fork. The memory is anonymous, so that no other process gets it. It is on no disk, and not in a core dump.
 *
 * Trust: a process uses the memory only while it is of the user that has made it. So a child that has another user
 * neither believes nor tells. A sibling of the same user that is taken over can tell a lie. It has the same token, asks
 * for the same leaf and takes connections of the same service. It can therefore admit any peer to that service anyway.
 * A child of another user that is taken over can tell a lie, too, as it has inherited the memory. SECURITY.md says so.
 * The key of a leaf is in the memory. Each of these processes has the token for it anyway.
 *
 * Each process may end at any moment. So there is no lock, and each member is atomic. A seal covers an answer. A reader
 * that meets a half-written answer finds no answer. Any thread. A child inherits the memory.
 */
#ifndef CONSUL_CACHE_FAMILY_H
#define CONSUL_CACHE_FAMILY_H

#include "agent/request.h"
#include "identity/digest.h"

#include <stdatomic.h>

typedef struct consul_family consul_family;

/* The place of one entry in the memory. Its key never changes. */
typedef struct consul_family_place consul_family_place;

/* Return the memory without an answer, for consul_family_free. Return NULL without memory. */
consul_family *consul_family_new(void);

/* Leave the memory to the processes that share it. The last one gives it back. NULL is allowed. */
void consul_family_free(consul_family *family);

/* Find out whether this process is of the user that has made the memory. Until then, and otherwise, nothing is shared. */
void consul_family_look(consul_family *family);

/*
 * Find or take the place for a kind of answer, a service and a scope, and return it, borrowed. Return NULL where all
 * places are taken, and for the family NULL. The functions below allow the place NULL.
 */
consul_family_place *consul_family_find(consul_family *family, int kind, const char *service,
                                        const consul_scope *scope);

/* Note that this process forks. Before that, it has no family to tell an answer, and no key lies in the memory. */
void consul_family_note_fork(void);

/* Return true in a process that has forked, and in a child. */
bool consul_family_has_forked(void);

/*
 * Tell the family an answer, with the digest of its body. Nothing is told without a fork. `asked` is the moment of its request, in microseconds. An
 * answer that is too large is not told, nor is one to an earlier request than the present one.
 */
void consul_family_tell(const consul_family *family, consul_family_place *place,
                        const consul_answer *answer, const unsigned char digest[CONSUL_DIGEST_LEN],
                        int64_t asked);

/*
 * Return the moment of the request for the present answer, in microseconds. `*mark` is the start of the digest of its body.
 * Return INT64_MIN and 0 without an answer.
 */
int64_t consul_family_asked(const consul_family *family, consul_family_place *place,
                            uint64_t *mark);

/* The mark of the intentions of all services. Siblings need only the changes of that list. */
#define CONSUL_FAMILY_MARK_OF_ALL 1

/* Return the start of a digest, as consul_family_asked gives it. */
uint64_t consul_family_mark(const unsigned char digest[CONSUL_DIGEST_LEN]);

/* Copy the present answer, for consul_answer_free. Return false without a whole answer, or without memory. */
bool consul_family_hear(const consul_family *family, consul_family_place *place,
                        consul_answer *answer);

/* Return the moment of the last request that a process has begun for a newer answer, in microseconds, or 0. Note one. */
int64_t consul_family_claimed(const consul_family *family, const consul_family_place *place);
void consul_family_claim(const consul_family *family, consul_family_place *place, int64_t now);

/* ---- the handshakes ---- */

/*
 * Note a handshake with a peer of the mesh. Return how many the family has had, with it, up to two. Return 0 where nothing is
 * shared.
 */
unsigned consul_family_note_peer(const consul_family *family, int64_t now);

/* Return the moment of the last such handshake of the family, to a second, in milliseconds; or 0. */
int64_t consul_family_used(const consul_family *family);

/* Take one of the watches that short-lived processes may begin: one in two seconds. Return false without one. */
bool consul_family_may_begin(const consul_family *family, int64_t now);

/* The load of a family, or of one process, in peers of the mesh. */
typedef struct consul_load {
    _Atomic int64_t second_began; /* the begin of the present second of peers, in milliseconds */
    atomic_uint in_second;        /* the number of peers in it */
    _Atomic int64_t busy_until;   /* in milliseconds, or 0 */
} consul_load;

/* Return the load of the family, borrowed. Return NULL where nothing is shared. */
consul_load *consul_family_load(const consul_family *family);

#endif
