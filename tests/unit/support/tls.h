/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS handshakes in memory. The process has the module active in its default library context, by
 * an openssl.cnf that names a scripted agent.
 */
#ifndef CONSUL_TEST_TLS_H
#define CONSUL_TEST_TLS_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include "config_file.h"
#include "fake_agent.h"
#include "mint.h"

#define TD "11111111-2222-3333-4444-555555555555.consul"
#define OTHER_TD "99999999-2222-3333-4444-555555555555.consul"
#define SERVICE(name) "spiffe://" TD "/ns/default/dc/dc1/svc/" name

/* All parties. */
typedef struct tls_world {
    fake_agent agent;
    config_file config;
    minted ca;         /* the mesh's */
    minted foreign_ca; /* of the same names, outside of the mesh */
    minted web;        /* the service under test */
    minted friend;     /* another service, allowed unless the agent says no */
    minted stranger;   /* says that it is `friend`, of the foreign CA */
    minted site;       /* an ordinary, self-signed certificate */
    minted site_rsa;   /* the same with an RSA key */
} tls_world;

extern tls_world world;
extern const int tls_versions[2]; /* TLS 1.2 and 1.3 */

/* Make the world, put it away, or give the agent its plain answers and web's leaf before a test. For cmocka. */
int tls_set_up(void **state);
int tls_set_up_as_web(void **state);     /* with `service = web` */
int tls_set_up_as(const char *settings); /* with more settings than the agent's address */
int tls_tear_down(void **state);
int tls_reset(void **state);

/* The outcome of a handshake and of one line of data in each direction. */
typedef struct tls_outcome {
    bool client_done, server_done; /* handshakes completed */
    bool server_got, client_got;   /* the other's line */
    bool reused;                   /* a session was resumed */
    char client_errors[4096], server_errors[4096];
} tls_outcome;

/* Make a context for either side, with this certificate (or NULL) and exactly this version. */
SSL_CTX *tls_ctx(int version, const minted *own);
void tls_use(SSL_CTX *ctx, const minted *own);

/* Make one in a library context of its own, which the provider does not reach. Free both. */
SSL_CTX *tls_ctx_elsewhere(int version, const minted *own, OSSL_LIB_CTX **libctx);

/* Make one in that library context, for a peer that is not to be governed. See tls_pair_with. */
SSL_CTX *tls_ctx_in(OSSL_LIB_CTX *libctx, int version, const minted *own);

/* Make one with the leaf of a consul: URI, loaded in that library context. No intermediates. */
SSL_CTX *tls_ctx_by_uri(const char *uri, OSSL_LIB_CTX *libctx);

/* Let two sides talk; the first frees nothing, the second makes and frees the SSLs. */
tls_outcome tls_talk(SSL *client, SSL *server);
tls_outcome tls_talk_at_once(SSL *client, SSL *server); /* by SSL_write and SSL_read alone */
tls_outcome tls_connect(SSL_CTX *client, SSL_CTX *server);

/* Close both sides as they should be, so that their sessions stay usable, and free them. */
void tls_close(SSL *client, SSL *server);

/* Make SSLs that are connected to each other; free them yourself. */
void tls_pair(SSL_CTX *client_ctx, SSL_CTX *server_ctx, SSL **client, SSL **server);

/* Make them likewise, the client or the server in a library context that the provider does not reach. */
void tls_pair_with(SSL_CTX *client_ctx, SSL_CTX *server_ctx, OSSL_LIB_CTX *elsewhere,
                   bool client_is_elsewhere, SSL **client, SSL **server);

/* Let a server meet a client with this certificate (or NULL), which the provider does not reach. It frees the server's context. */
tls_outcome tls_serve(SSL_CTX *server_ctx, int version, const minted *client_identity);

/* Append this thread's errors to a text. A side takes its own at once, as both sides share the queue. */
void tls_take_errors(char *errors, size_t size);

/* Check that all went well, or that nothing came through in either direction. */
void assert_talked(const char *name, const tls_outcome *outcome);
void assert_refused(const char *name, const tls_outcome *outcome);

#endif
