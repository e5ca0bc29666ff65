/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a TLS connection: what it has to do with Connect. Kept with its SSL and used by the
 * hooks alone, in the thread that drives the SSL.
 */
#ifndef PROV_ENDPOINT_ENDPOINT_H
#define PROV_ENDPOINT_ENDPOINT_H

#include "store.h"

#include <stdbool.h>

#include <openssl/ssl.h>

enum endpoint_rule {
    ENDPOINT_LEFT_ALONE, /* ordinary TLS */
    ENDPOINT_BY_PEER,    /* a client of a configured service: Connect if its server is */
    ENDPOINT_GOVERNED    /* Connect or nothing */
};

enum endpoint_peer {
    ENDPOINT_PEER_UNVERIFIED,
    ENDPOINT_PEER_LEFT_ALONE, /* to the application's rules */
    ENDPOINT_PEER_AUTHORIZED
};

/* The endpoint of an SSL. Its fields are written by the files of this folder only. */
typedef struct endpoint endpoint;

/* Register with OpenSSL; 0 on failure. Safe in provider init. */
int endpoint_init(void);

/* Return the endpoint of an SSL. It is freed with the SSL. A missing one is made; NULL without memory. */
endpoint *endpoint_get(SSL *ssl);

/* Return the endpoint of an SSL, or NULL. */
endpoint *endpoint_find(const SSL *ssl);

/*
 * Return true if there is an SSL at this address. It is not looked at. False also for an SSL that was made before the
 * provider was loaded, or under another default library context. True for an SSL that was freed without memory.
 */
bool endpoint_is_alive(const void *ssl);

/* Return its rule, as endpoint_judge found it last; its peer's state; and its store, or NULL. */
enum endpoint_rule endpoint_rule(const endpoint *e);
enum endpoint_peer endpoint_peer(const endpoint *e);
consul_store *endpoint_store(const endpoint *e); /* borrowed until the next handshake */

/* Govern it from here on. No function of this folder takes that back during a handshake. */
void endpoint_govern(endpoint *e);

/* Set the state of its peer: before its verification, after it, or left to the application. */
void endpoint_set_peer(endpoint *e, enum endpoint_peer peer);

/* Note that the peer is being verified by us, once a handshake; return true if it was not before. */
bool endpoint_look_at_peer(endpoint *e);

/* Authorize the peer that shows this certificate, and no other: see endpoint_may_finish. */
void endpoint_authorize(endpoint *e, X509 *cert);

/*
 * Note whether the application demands no verification, by the mode of its SSL before ours. Return true if so. A refusal
 * of its own means nothing then.
 */
void endpoint_set_lenient(endpoint *e, bool is_lenient);
bool endpoint_is_lenient(const endpoint *e);

/* Note the origin of the agent's yes to its peer. */
void endpoint_set_basis(endpoint *e, enum consul_basis basis);

/* Return true if the configuration cannot be used, and all TLS is refused. */
bool endpoint_is_unusable(const endpoint *e);

/* Return true if a live leaf is presented: the stand-in's, or that of the configured service. */
bool endpoint_presents_live_leaf(const endpoint *e);

/* Return the service that the host name asks for, borrowed; NULL if it asks for no service. */
const consul_service *endpoint_wanted(const endpoint *e);

/* Return true if the SPIFFE ID answers the host check that was left to OpenSSL. */
bool endpoint_host_is_service(const endpoint *e);

/*
 * Note that the SSL was set up for this handshake: as governed, or as a server awaiting its
 * certificate. Return true if so noted.
 */
void endpoint_set_prepared(endpoint *e);
bool endpoint_is_prepared(const endpoint *e);
void endpoint_set_awaiting_certificate(endpoint *e);
bool endpoint_is_awaiting_certificate(const endpoint *e);

/*
 * Note the call of our message callback in this handshake. Return true if so noted. The application has
 * displaced it otherwise, once the first message is there.
 */
void endpoint_note_message(endpoint *e);
bool endpoint_saw_message(const endpoint *e);

/* Note the call of the security callback for this operation, SSL_SECOP_...; or 0 for none. */
void endpoint_note_security_call(endpoint *e, const SSL *ssl, int op);

/*
 * Return the endpoint if this call repeats the noted one, with another cipher, say. libssl goes through a
 * list then, and calls no function meanwhile that might change anything. NULL otherwise, and between two
 * handshakes, where the list may be for another one.
 */
endpoint *endpoint_find_repeating(const SSL *ssl, int op);

#endif
