/* SPDX-License-Identifier: Apache-2.0 */
/* The application and a peer on an in-memory pipe, in turns of one thread. */
#ifndef ATTACK_TALK_H
#define ATTACK_TALK_H

#include "app.h"

#define TALK_ERRORS_MAX 4096

/* The outcome of a talk: a line in each direction, and the errors of both. */
typedef struct talk_outcome {
    bool app_got, peer_got; /* the other's line */
    bool app_done;          /* its handshake, at the end of the talk */
    bool reused;            /* a session */
    bool early;             /* data was accepted before the end of the handshake */
    int calls;              /* of the row's place */
    enum shown shown;       /* to the peer, by the application */
    bool renegotiated;      /* the talk was about a second handshake, which took place */
    char app_errors[TALK_ERRORS_MAX], peer_errors[TALK_ERRORS_MAX];
} talk_outcome;

/* Put the two on a new pipe. */
void talk_join(SSL *peer);

/* Let the two make their handshake, and write and read as long as they can. */
talk_outcome talk(SSL *peer);

/* Let the two go on in the same connection. Each calls `again` before, where it is not NULL. */
talk_outcome talk_again(SSL *peer, int (*app_again)(SSL *), int (*peer_again)(SSL *));

/* Drop what stands on the error queue. */
void talk_clear(void);

#endif
