/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end: in a library context that the provider does not reach. It knows sessions, keys and ticket
 * keys of every party, and takes any application for its own.
 */
#ifndef ATTACK_PEER_H
#define ATTACK_PEER_H

#include "mint.h"
#include "row.h"

#include <openssl/ssl.h>

#define ATTACK_EXTENSION 1000
#define ATTACK_EXTENSION_IN \
    (SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_2_SERVER_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS)
#define ATTACK_SID "app" /* the session-id context of all */

/* Mint the peers' certificates, once in a process. */
void peer_set_up(void);
void peer_tear_down(void);

/* Return the certificate of a kind of peer; empty for a peer without. */
const minted *peer_certificate(const row *r, enum peer kind);

/* Parts of the questions that the agent denies, and NULL. */
extern const char *const peer_denied[5];

/* Another service of the mesh, whose leaves the application may take; and an ordinary one. */
#define ATTACK_OTHER "shop"
extern minted other_leaf, other_rsa, other_stand_in, other_site;

/* Make the context of a peer, which faces the application of this row. */
SSL_CTX *peer_ctx(const row *r, enum peer kind);

/* Make an ordinary server or client, as the row's application might be in another process. */
SSL_CTX *peer_elsewhere(int protocol, const minted *own);

/* Set the version and what an end of TLS needs to resume the sessions of others. */
void peer_set_version(SSL_CTX *ctx, int protocol);
void peer_share_tickets(SSL_CTX *ctx);

/* Have the application take the raw keys of its peers, where this OpenSSL has them. */
void peer_accept_raw_keys(SSL_CTX *ctx, bool is_server);

/* Return a session of TLS 1.3 by the common key. It may have the session-id context of all. */
SSL_SESSION *peer_key_session(SSL *ssl, bool has_context);

/* Go to the library context of the peers and back, for calls on a peer's SSL. */
void peer_enter(void);
void peer_leave(void);

/* Have DTLS send its messages in one piece, through a pipe. */
void peer_set_mtu(SSL *ssl);

#endif
