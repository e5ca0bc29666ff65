/*
 * The agent certificate store: what this host's Consul agent says about Connect, as snapshots of
 * roots and leaves and as decisions. This header is the only door to it; nothing here knows of
 * OpenSSL providers, and nothing beyond it knows of HTTP or JSON.
 *
 * Threads: every function may be called from any thread. Snapshots are immutable. A store that
 * handshakes use has one thread of its own, all signals blocked, which ends with the process.
 * Fork: a child has the snapshots and no thread; it closes the descriptors that it inherited, and
 * asks the agent itself.
 * Errors: base/error.h.
 */
#ifndef CONSUL_STORE_H
#define CONSUL_STORE_H

#include "base/allowance.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/error.h"
#include "base/settings.h"
#include "identity/dns_name.h"
#include "identity/leaf.h"
#include "identity/other_names.h"
#include "identity/roots.h"
#include "identity/spiffe.h"
#include "identity/stand_in.h"
#include "identity/uri.h"

typedef struct consul_store consul_store;

/*
 * A store on the agent that `settings` name; takes the settings, also when it fails. No request
 * is made. Certificates and keys are made in `libctx` (borrowed; NULL for the default one).
 */
consul_store *consul_store_new(consul_settings *settings, OSSL_LIB_CTX *libctx, consul_error *err);
consul_store *consul_store_ref(consul_store *store);
void consul_store_unref(consul_store *store);

/* End what the store does by itself, for good. Its references stay usable. */
void consul_store_close(consul_store *store);
const consul_settings *consul_store_settings(const consul_store *store); /* borrowed */

/*
 * A handshake begins that will ask for what follows. From a process's second one on, what they ask
 * for is watched, and need not be asked for.
 */
void consul_store_note_handshake(consul_store *store);

/* It has met a peer of the mesh. From many of them in a second on, decisions are made ready. */
void consul_store_note_peer(consul_store *store);

/*
 * The current roots; the caller gets a reference. Scope NULL means the configured one. They are
 * those of a watch, or of an answer that is new enough, or else the agent is asked, or, where it
 * does not answer, those of before.
 */
int consul_store_roots(consul_store *store, const consul_scope *scope, consul_asking asking,
                       consul_roots **roots, consul_error *err);

/*
 * For who has found something that these roots do not explain: take other ones in their place, those
 * that are kept by now or the agent's. It is asked for them once a second, in the long run, and for at
 * most a tenth of the time, by one thread for all who wait, and not where it was asked since then.
 * False is that there are no others.
 */
bool consul_store_doubt_roots(consul_store *store, const consul_scope *scope, consul_asking asking,
                              consul_roots **roots);

/*
 * The current leaf of a service (NULL or "" for the configured one), checked against the current
 * roots, or, for who hurries, those that are kept; the caller gets a reference. In a process that makes
 * many handshakes it may be some milliseconds old; where the agent does not answer, it is that of before
 * while it is valid.
 */
int consul_store_leaf(consul_store *store, const char *service, const consul_scope *scope,
                      consul_asking asking, consul_leaf **leaf, consul_error *err);

/* Remember that a program has loaded this leaf from this store, which it was given for that URI. */
void consul_store_note_loaded(const consul_store *store, const consul_leaf *leaf,
                              const consul_uri *uri);

/*
 * Is this a leaf of a service that has been loaded by URI in this process, from a store on the same
 * agent as this one? Then `uri` says of which, and leaves nothing to anybody's settings.
 */
bool consul_store_has_loaded(const consul_store *store, const X509 *cert, consul_uri *uri);

/*
 * Ask the agent whether the peer may connect to `target`, this endpoint's own identity. Only a
 * plain yes returns 1. An earlier one does for the very same question while a watch vouches that
 * intentions have not changed since; and, if on_agent_loss says so, while the agent can not be asked.
 * `peer` must be a certificate that was verified against the current roots, `chain` the digest of
 * what it was verified with, and `peer_id` its identity in the current trust domain: the agent checks
 * none of them.
 */
int consul_store_authorize(consul_store *store, const consul_spiffe_id *target, const X509 *peer,
                           const unsigned char chain[CONSUL_DIGEST_LEN],
                           const consul_spiffe_id *peer_id, consul_asking asking,
                           consul_error *err);

/*
 * Is this thread inside a request to the agent? libcurl's own TLS to the agent is made then; it
 * must not be governed, or every question would ask another one.
 */
bool consul_store_in_request(void);

#endif
