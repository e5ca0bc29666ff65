/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The application under attack, of one row: in the library context that the provider reaches. A process has one,
 * in one thread. A failure of a call that should work fails the row.
 */
#ifndef ATTACK_APP_H
#define ATTACK_APP_H

#include "peer.h"
#include "row.h"

#include <openssl/ssl.h>

/* The certificates of the other service. In an ordinary application they are ordinary ones. */
enum other { OTHER_LEAF, OTHER_RSA, OTHER_STAND_IN };

typedef struct application {
    row r;
    SSL_CTX *ctx;       /* with all that the row says */
    SSL_CTX *first;     /* an ordinary one: before a switch, or of an earlier life */
    SSL *ssl;           /* the one in question, or NULL */
    minted own;         /* its certificate: of the mesh, or a stand-in; empty for an ordinary one */
    SSL_CTX *other_ctx; /* of the other service, where the row takes it; or NULL */
    const minted *other[3];    /* borrowed: see enum other */
    bool is_used_again;        /* its SSL, after a first handshake */
    bool has_other;            /* it has taken the other leaf */
    bool has_other_in_time;    /* before it has shown a certificate in this handshake */
    SSL *sharer;               /* it shares the certificates of `ssl`; or NULL */
    BIO *rbio, *wbio;          /* borrowed: those that the SSL had at first */
    X509_STORE_CTX *verifying; /* borrowed: the context of a verification under way, or NULL */
    X509_STORE_CTX *look;      /* it outlives its SSL; or NULL */
    SSL_SESSION *stored;       /* in the cache that it shares with another process, or NULL */
    int waits;                 /* calls of app_waits */
    int calls;                 /* of the place so far, in this handshake */
    int all_calls;             /* of the place, in all */
} application;

extern application app;

/* Say a call before it is made, where the listing of the calls is on. */
extern bool app_is_listing;
void app_list(const char *call);
#define CALL(call) (app_list(#call), (call))

/* Whether it runs without the provider: for comparison, in the peers' library context. */
extern bool app_is_plain;
void app_enter(void);

/* Make its contexts, as the row says. */
void app_make(const row *r);
void app_free(void);

/* Return true where the certificate is given to the SSL, also for want of the callback in this role. */
bool app_is_given_on_ssl(const row *r);

/* Make its SSL of a context, with all that the row does to an SSL. */
void app_make_ssl(SSL_CTX *ctx);

/* Have its SSL go on with its context, after an ordinary one. */
void app_switch(void);

/* Ask for the row's name on the SSL of a client. A copy by SSL_dup has none. */
void app_ask_for_name(SSL *ssl);

/* Give the certificate to an SSL. */
int app_give(SSL *ssl);

/* Give one of the other service's certificates to an SSL, or to a context. */
void app_give_other(SSL *ssl, enum other which);
void app_give_other_to_ctx(SSL_CTX *ctx, enum other which);

/* Return what a certificate is that the peer has seen. */
enum shown app_shown(const X509 *cert);

/* Note that the other leaf is taken now. A handshake that begins later has it from its begin. */
void app_note_other(const SSL *ssl);
void app_begin_handshake(void);

/* Return true where a callback that may wait is to do so: at each other call. */
bool app_waits(void);

/* Do in the place of the row what it does there. */
void app_at(enum place place, SSL *ssl);

/* Displace on an SSL, in a handshake, what the row displaces inside of its place (displace.c). */
void app_displace_on_ctx(SSL_CTX *ctx);
void app_displace_on_ssl(SSL *ssl);
void app_displace_inside(SSL *ssl);

/* Take back what the row takes back (take.c). */
void app_take_on_ctx(SSL_CTX *ctx);
void app_take(SSL *ssl);

/* Go on with a connection that has failed. */
void app_revive(SSL *ssl);

/* Look at the SSL or its peer, before, in and after a handshake, as the row says (look.c). */
void app_look_before(SSL *ssl);
void app_look_inside(SSL *ssl);
void app_look_after(SSL *ssl);
void app_look_no_more(void);

/* Set the callbacks by which the application comes to its place (places.c). */
void app_set_place(SSL_CTX *ctx);

/* Accept each peer, as some applications do: as a verify callback, and in libssl's place. */
int app_accept(int ok, X509_STORE_CTX *store);
int app_accept_all(X509_STORE_CTX *store, void *arg);

#endif
