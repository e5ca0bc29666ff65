/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent certificate store: the answers of this host's Consul agent about Connect. It gives
 * snapshots of roots and leaves, and decides on peers. This header is the only door to it. Nothing
 * here knows OpenSSL providers, and nothing beyond it knows HTTP or JSON.
 *
 * Threads: any thread may call any function. Snapshots are immutable. A store that handshakes use
 * has one thread of its own. It blocks all signals, and ends with the process.
 *
 * Fork: a child has the snapshots and no thread. It closes the descriptors that it inherited, and
 * asks the agent itself.
 *
 * Ownership: a caller drops each reference that it gets. Names and scopes are borrowed for a call.
 *
 * Units: moments are on the clock of base/clock.h, in microseconds, and deadlines in milliseconds.
 *
 * Errors: functions that take a consul_error follow base/error.h.
 */
#ifndef CONSUL_STORE_H
#define CONSUL_STORE_H

#include "base/allowance.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/error.h"
#include "base/event.h"
#include "base/file.h"
#include "base/settings.h"
#include "identity/cert_text.h"
#include "identity/dns_name.h"
#include "identity/leaf.h"
#include "identity/other_names.h"
#include "identity/roots.h"
#include "identity/spiffe.h"
#include "identity/stand_in.h"
#include "identity/uri.h"

typedef struct consul_store consul_store;

/*
 * Return a store for the agent of `settings`, with one reference. It takes the settings, after a
 * failure too. It makes certificates and keys in `libctx`, which it borrows. NULL is the default
 * one. Return NULL with an error for an invalid address or without memory. No request is made. The
 * libraries for requests are loaded for a service, or else by consul_store_load or the first request.
 */
consul_store *consul_store_new(consul_settings *settings, OSSL_LIB_CTX *libctx, consul_error *err);

/* Add a reference, and return the store. Drop a reference; NULL is allowed. */
consul_store *consul_store_ref(consul_store *store);
void consul_store_unref(consul_store *store);

/*
 * Load the libraries for requests, unless they are loaded. A program that confines itself later has them then. Return
 * 0 with an error where a library is missing.
 */
int consul_store_load(consul_store *store, consul_error *err);

/* End the store's thread for good. The store stays usable. */
void consul_store_close(consul_store *store);

/* Return the settings of the store, borrowed. */
const consul_settings *consul_store_settings(const consul_store *store);

/*
 * Note that a handshake begins. The second handshake of a process starts the watch. It keeps
 * entries fresh, and handshakes need no request for these.
 */
void consul_store_note_handshake(consul_store *store);

/* Note that a handshake has met a peer of the mesh. Many in a second make the process busy. */
void consul_store_note_peer(consul_store *store);

/*
 * Get the current roots, with a reference. NULL as scope is the configured one. They come from an
 * entry that is fresh or new enough, else from the agent. Without an answer they are the last known
 * ones. A strict caller gets these only while the agent is lost. Return 0 with an error without any.
 */
int consul_store_roots(consul_store *store, const consul_scope *scope, consul_asking asking,
                       consul_roots **roots, consul_error *err);

/*
 * Replace `*roots`, to which a peer's chain does not lead, by newer ones. They are kept already, or
 * come from the agent. Return false without newer ones. One thread asks the agent for all that
 * wait, unless it was asked at `asking.since` or later. It asks once a second in the long run, and
 * for at most a tenth of the time.
 */
bool consul_store_doubt_roots(consul_store *store, const consul_scope *scope, consul_asking asking,
                              consul_roots **roots);

/*
 * Get the current leaf of a service, with a reference. NULL and "" are the configured service. The
 * leaf is checked against the current roots, or for `asking.hurries` against the kept ones. In a
 * busy process it may be some milliseconds old. Without an answer it is the last known one, while
 * it is valid. Return 0 with an error without any.
 */
int consul_store_leaf(consul_store *store, const char *service, const consul_scope *scope,
                      consul_asking asking, consul_leaf **leaf, consul_error *err);

/*
 * Have the agent asked ahead, for an end whose peer has not shown its certificate yet. It is asked for the roots. For a server
 * it is also asked about the last visitor from the same address, and for nothing without one. The answers count for the
 * handshake of `asking`. Nothing is asked in a busy process, and for a client in its first handshake.
 */
void consul_store_ask_ahead(consul_store *store, consul_asking asking, bool is_server);

/* Note that a program has loaded this leaf from this store, by this URI. */
void consul_store_note_loaded(const consul_store *store, const consul_leaf *leaf,
                              const consul_uri *uri);

/*
 * Note that a program loads the private key or the certificate alone by this URI. `*leaf` is the live leaf. Where this thread
 * has loaded the other half within the last second, `*leaf` becomes the leaf of that half. `opened` is a moment of consul_now_ms.
 */
void consul_store_complete_pair(const consul_store *store, const consul_uri *uri, bool is_key,
                                int64_t opened, consul_leaf **leaf);

/*
 * Return true for a leaf that this process has loaded by URI, from a store on the same agent.
 * `*uri` becomes its URI, with all names that the settings gave at that time.
 */
bool consul_store_has_loaded(const consul_store *store, const X509 *cert, consul_uri *uri);

/* The origin of a yes. */
enum consul_basis {
    CONSUL_BASIS_QUESTION,  /* the agent was asked after this connection had begun */
    CONSUL_BASIS_KEPT,      /* a kept verdict of a busy process, which a watch vouches for */
    CONSUL_BASIS_LAST_KNOWN /* the last verdict, while the agent is lost */
};

/*
 * Ask the agent whether the peer may connect to `target`, the SPIFFE ID of this end. Return 1 after
 * a plain yes only, and 0 with an error otherwise. A kept yes to the same question counts while a
 * watch vouches that no intention has changed since. A yes that another handshake has asked for since `asking.since` counts
 * for some milliseconds. With on_agent_loss = last-known, a kept yes
 * counts while the agent is lost.
 *
 * `peer` must be a certificate that was verified with the current roots. `chain` is the digest of
 * its chain, and `peer_id` its SPIFFE ID in the current trust domain. The agent checks neither. `*basis` is
 * the origin of the yes.
 */
int consul_store_authorize(consul_store *store, const consul_spiffe_id *target, const X509 *peer,
                           const unsigned char chain[CONSUL_DIGEST_LEN],
                           const consul_spiffe_id *peer_id, consul_asking asking,
                           enum consul_basis *basis, consul_error *err);

/*
 * Return true in a thread that makes a request to the agent. libcurl's own TLS to the agent must
 * not be governed, or each question would ask another one.
 */
bool consul_store_in_request(void);

#endif
