/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent that gives the wrong answers of a row, and right ones otherwise. Its threads live in the process that starts
 * it. Children of that process tell it by the control, which all of them share.
 */
#ifndef ATTACK_AGENT_SERVER_H
#define ATTACK_AGENT_SERVER_H

#include "../row.h"

#include <stdatomic.h>

#include <openssl/ssl.h>

enum answers { ANSWERS_RIGHT, ANSWERS_WRONG, ANSWERS_WRONG_ONCE };

typedef struct control {
    row r;                 /* set while the answers are right */
    atomic_int answers;    /* an enum answers */
    atomic_bool denied;    /* the friend, too */
    atomic_int wrong;      /* wrong answers so far */
    atomic_int redirected; /* requests at the address of a redirect */
    long cut; /* a wrong answer is one more than so many bytes of a right one; 0 for others */
    bool cuts_login;   /* the answer to a login is the wrong one */
    atomic_long whole; /* the length of the right answer to the last wrong one */
} control;

/* The right answers, in JSON. Borrowed. */
typedef struct right_answers {
    const char *roots, *leaf;
    const char *login; /* NULL where no process logs in */
} right_answers;

/* Speak HTTPS by this context, which is borrowed. Call it in the process that answers, and before. It ignores SIGPIPE. */
void server_speak_tls(SSL_CTX *ctx);

/* Listen on a free port, and return the port. */
int server_listen(void);

/* Answer from now on. It ends with the process. */
void server_start(control *c, const right_answers *right);

#endif
