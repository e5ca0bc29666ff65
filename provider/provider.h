/*
 * What the files of provider/ share. This half knows OpenSSL: the provider interface, the store
 * loader and the TLS hooks. What it knows of Consul comes through store.h.
 */
#ifndef CONSUL_PROVIDER_H
#define CONSUL_PROVIDER_H

#include <stdatomic.h>
#include <stdbool.h>

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/ssl.h>

#include "store.h"

/* One loaded instance of the provider; OpenSSL's provctx. */
typedef struct prov_ctx {
    OSSL_LIB_CTX *libctx;           /* borrowed from the core, as are */
    const OSSL_CORE_HANDLE *handle; /* these two, for rows of its configuration */
    OSSL_FUNC_core_get_params_fn *get_params;
    OSSL_FUNC_BIO_gets_fn *bio_gets;
    consul_store *store;     /* for its URIs, in its own library context */
    consul_store *tls_store; /* for the process's TLS, in the default library context */
    OSSL_PROVIDER *crypto;   /* whose algorithms it has brought along, or NULL */
    atomic_bool crypto_sorted;
    bool crypto_unasked;   /* and that nobody has named it */
    consul_error unusable; /* where both are NULL: what is wrong with its configuration */
} prov_ctx;

/* ---- provider.c ---- */

/*
 * The store that governs this process's TLS: that of the active instance that was loaded first, one
 * with a service before others; several with a service say the same, or all TLS is refused. The caller gets a reference. NULL when none is active (`why` is
 * NOT_ACTIVE), or when one could not be configured (`why` is the reason). Any thread.
 */
consul_store *prov_active_store(consul_error *why);

/* Has an instance been loaded whose service requires Connect of all that comes in, or goes out? */
bool prov_was_required(bool inbound);

/*
 * The service that the tables `upstreams` map this host name to, if any. It is nobody where
 * two instances do not agree.
 */
bool prov_upstream(const char *host, consul_service *service);

/* ---- crypto.c: the cryptography that comes with the provider ---- */

/*
 * Load what the setting `crypto` says into the instance's library context. 0 where that can not be
 * loaded. An instance that has brought something gives it back by prov_crypto_release.
 */
int prov_crypto_bring(prov_ctx *prov, consul_error *err);
void prov_crypto_release(prov_ctx *prov);

/* Once the instance is OpenSSL's: make its end come before that of what it has brought. Any thread. */
void prov_crypto_sort(prov_ctx *prov);

/*
 * 0 where `fips` has come after `default` was brought unasked, and nothing keeps the two apart: who
 * wants the one must not be given the other. Under no lock; any thread.
 */
int prov_crypto_check(consul_error *err);

/* ---- config.c: the provider's section of openssl.cnf ---- */

/*
 * The settings from the section that activated this provider, or NULL. Makes no call that needs
 * OpenSSL's configuration, which is locked.
 */
consul_settings *prov_config_read(const prov_ctx *prov, consul_error *err);

/*
 * Look for what would be without effect in OpenSSL's default file, where that one has the sections of
 * this provider; then `place` is how errors begin. (config_check.c)
 */
#define PROV_PLACE_MAX 512
int prov_config_check(const char *provider, char place[PROV_PLACE_MAX], consul_error *err);

/* Look for misspelt settings in whatever file it was. (config_slips.c) */
int prov_config_check_slips(const prov_ctx *prov, consul_error *err);

/* The value of a setting as it stands there, borrowed while the provider is loaded; NULL if none. */
const char *prov_config_value(const prov_ctx *prov, const char *name);

/*
 * The value of "<table>.<row>" in the provider's section, borrowed while the provider is loaded;
 * NULL if there is none.
 */
const char *prov_config_row(const prov_ctx *prov, const char *table, const char *row);

/* ---- upstream.c: the rows of the table `upstreams` ---- */

/* Can a host be asked for by this row? */
int prov_upstream_check(const char *row, consul_error *err);

/* What this instance's table says of a host name; borrowed, as prov_config_row. */
const char *prov_upstream_find(const prov_ctx *prov, const char *host);

/* ---- error.c: OpenSSL's error queue, and the log ---- */

/* Make our reasons known to OpenSSL. Idempotent; 0 on failure. */
int prov_error_init(void);

/*
 * Put an error on this thread's queue and into the log; `context` (or NULL) says in what, and
 * `about` (or NULL), in the log only, with whom. Does nothing for none.
 */
void prov_error_raise(const consul_error *err, const char *context, const char *about);
void prov_error_queue(const consul_error *err, const char *context); /* the queue alone */

/* ---- log.c: what the setting `log` asks for ---- */

/*
 * Write to where this setting says from now on: "stderr", "syslog" or a path. Anything else changes
 * nothing. A file is opened here, and again when it has been moved away or its descriptor closed;
 * one that can not be opened is tried again at each line.
 */
void prov_log_open(const char *setting);

/*
 * Write one line, printable and whole. Any thread, any child of a fork. Does not wait for a slow
 * reader, raises no signal, keeps errno; lines beyond a rate are counted and left out.
 */
void prov_log(const consul_error *err, const char *context, const char *about);

/* ---- log_allowance.c: how many lines a process writes, and all that it forks ---- */

#define PROV_LOG_BURST 50      /* lines at once, */
#define PROV_LOG_PER_SECOND 10 /* and in the long run */

/* Who is forked from now on has the same allowance. Under a lock, before any line is written. */
void prov_log_allowance_share(void);

/* May one more line be written? Then `*left_out` is how many were not, since the last one that was. */
bool prov_log_allowance_take(unsigned long *left_out);

/* ---- loader.c: OSSL_STORE ---- */

extern const OSSL_ALGORITHM prov_loader_algorithms[];

/* ---- decoder.c: the private keys of stand-ins ---- */

const OSSL_ALGORITHM *prov_decoder_algorithms(void);

/* ---- tls_hook.c: how connections are governed; which are, endpoint.h says ---- */

/* Have every SSL_CTX made from now on come to us. 0 on failure. */
int prov_tls_hook_install(void);

/*
 * Find out what this connection has to do with Connect and, where it is governed, set it up (again)
 * to demand and verify the peer, whatever the application has set since. Called at every turn of
 * a handshake, so repeated calls are cheap. NULL where there is nothing to be governed: libcurl's
 * own TLS to the agent, and a connection that was stopped for lack of memory.
 */
typedef struct endpoint endpoint;
endpoint *prov_tls_arm(SSL *ssl);

/* ---- tls_stop.c: how a handshake ends ---- */

/* A server's. For a client the second of them means nothing: there is always a certificate. */
#define PROV_SERVER_VERIFY_MODE (SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT)

/*
 * Let nothing more be read from or written to this connection, and say why, once a handshake. Sends no
 * alert: a handshake that is not over goes on, and fails where it can.
 */
void prov_tls_stop(SSL *ssl, const char *why);

/* Have all that happens in its handshake come to us, up to the end. Repeated calls are cheap. */
void prov_tls_listen(endpoint *e, SSL *ssl);

/* The peer has finished the handshake, or both have: stop it, unless the peer was authorized. */
void prov_tls_finish(endpoint *e, SSL *ssl);

/* ---- verify_hook.c: is this peer who it says, and may it connect? ---- */

/* An SSL_CTX_set_cert_verify_callback: all of libssl's peer verifications. */
int prov_verify_peer(X509_STORE_CTX *ctx, void *arg);

#endif
