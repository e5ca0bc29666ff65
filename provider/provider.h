/*
 * What the files of provider/ share. This half knows OpenSSL: the provider interface, the store
 * loader and the TLS hooks. What it knows of Consul comes through store.h.
 */
#ifndef CONSUL_PROVIDER_H
#define CONSUL_PROVIDER_H

#include <stdbool.h>

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/ssl.h>

#include "store.h"

/* One loaded instance of the provider; OpenSSL's provctx. */
typedef struct prov_ctx {
    consul_store *store;
} prov_ctx;

/* ---- provider.c ---- */

/*
 * The store that governs this process's TLS: that of the instance that was loaded first and is
 * still active. The caller gets a reference; NULL when none is active. Any thread.
 */
consul_store *prov_active_store(void);

/* ---- config.c: the provider's section of openssl.cnf ---- */

/*
 * The settings from the section that activated this provider, or NULL. `get_params` is the core's
 * function of that name. Makes no call that needs OpenSSL's configuration, which is locked.
 */
consul_settings *prov_config_read(const OSSL_CORE_HANDLE *handle,
                                  OSSL_FUNC_core_get_params_fn *get_params, consul_error *err);

/* ---- error.c: OpenSSL's error queue ---- */

/* Make our reasons known to OpenSSL. Idempotent; 0 on failure. */
int prov_error_init(void);

/* Put an error on this thread's queue; `context` (or NULL) says in what. Does nothing for none. */
void prov_error_raise(const consul_error *err, const char *context);

/* ---- loader.c: OSSL_STORE ---- */

extern const OSSL_ALGORITHM prov_loader_algorithms[];

/* ---- tls_hook.c: which connections are governed, and how they are set up ---- */

/* Have every SSL_CTX and X509_STORE_CTX made from now on come to us. 0 on failure. */
int prov_tls_hook_install(void);

/*
 * Is this connection governed: is one of the certificates that it may present a Connect leaf? If
 * so, it is (again) set up to demand and verify the peer, whatever the application has set since.
 * On doubt, and without memory, it is. Called at every turn of a handshake, so repeated calls are
 * cheap. Not for two threads at once on one SSL, as OpenSSL demands anyway.
 */
bool prov_tls_arm(SSL *ssl);

/*
 * What has become of the peer in this handshake. A peer that was left to the application's rules
 * on a connection that turns out to be governed after all (a client certificate that a callback
 * supplied) is stopped then; so is one that finishes without having been authorized. 0 on failure.
 */
enum prov_peer { PROV_PEER_UNKNOWN, PROV_PEER_LEFT_ALONE, PROV_PEER_AUTHORIZED };
int prov_tls_set_peer(SSL *ssl, enum prov_peer peer);

/* Note that this verification came to us; one that did not stops its connection. 0 on failure. */
int prov_tls_mark_verification(X509_STORE_CTX *ctx);

/* The Connect leaf that makes this connection governed, after prov_tls_arm; borrowed, or NULL. */
const X509 *prov_tls_own_leaf(const SSL *ssl);

/* Let nothing more be read from or written to this connection. Sends no alert. */
void prov_tls_kill(SSL *ssl, const char *why);

/* ---- verify_hook.c: is this peer who it says, and may it connect? ---- */

/* An SSL_CTX_set_cert_verify_callback: all of libssl's peer verifications. */
int prov_verify_peer(X509_STORE_CTX *ctx, void *arg);

#endif
