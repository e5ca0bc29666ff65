/*
 * The TLS hook. OpenSSL runs our function whenever an SSL_CTX or X509_STORE_CTX is made; from
 * there, callbacks at several turns of the handshake lead to prov_tls_arm. An application may
 * displace any of them by its own, so each is enough by itself for what comes after it:
 *
 *   security       both sides, before anything else of a handshake, and all through it
 *   client_hello   server, before a session is looked up
 *   message        both sides, with each handshake message
 *   not_resumable  server, after cipher and certificate are chosen
 *   cert_verify    both sides, in place of libssl's own verification (verify_hook.c)
 *
 * and when a verification is freed that never came to us, its connection is stopped.
 */
#include "provider.h"

#include <pthread.h>
#include <stdatomic.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rand.h>

static int ssl_index = -1;       /* of a tls_state */
static int store_ctx_index = -1; /* of a mark that prov_verify_peer saw it */
static int ssl_ctx_index = -1;   /* of nothing: it is there for its new function */

typedef int security_fn(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                        void *ex);

/* libssl's own security callback; the same for every SSL_CTX, and set before ours can run. */
static _Atomic(security_fn *) default_security;

/* What we know of one SSL. */
typedef struct tls_state {
    const SSL_CTX *ctx; /* the SSL's when it was judged; compared, never used */
    X509 *current;      /* the SSL's current certificate when it was judged */
    X509 *leaf;         /* its Connect leaf; once governed, always governed */
    /* Of the handshake that is going on: */
    bool prepared;
    enum prov_peer peer;
} tls_state;

static void free_state(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                       void *argp)
{
    tls_state *state = ptr;

    if (state == NULL)
        return;
    X509_free(state->current);
    X509_free(state->leaf);
    OPENSSL_free(state);
}

/* SSL_dup: the copy finds out for itself. */
static int dup_state(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **from_d, int index,
                     long argl, void *argp)
{
    *from_d = NULL;
    return 1;
}

static tls_state *get_state(SSL *ssl)
{
    tls_state *state = SSL_get_ex_data(ssl, ssl_index);

    if (state == NULL && (state = OPENSSL_zalloc(sizeof(*state))) != NULL
        && !SSL_set_ex_data(ssl, ssl_index, state)) {
        OPENSSL_free(state);
        state = NULL;
    }
    return state;
}

/* ---- which connections ---- */

/* The first Connect leaf among the certificates that this SSL may present; borrowed. */
static X509 *find_leaf(SSL *ssl, X509 *current)
{
    X509 *cert, *leaf = NULL;
    long more;

    if (current != NULL && consul_cert_claims_connect(current))
        return current;
    /* One certificate for each type of key: make each the current one in turn. */
    for (more = SSL_set_current_cert(ssl, SSL_CERT_SET_FIRST); more == 1 && leaf == NULL;
         more = SSL_set_current_cert(ssl, SSL_CERT_SET_NEXT)) {
        cert = SSL_get_certificate(ssl);
        if (cert != NULL && cert != current && consul_cert_claims_connect(cert))
            leaf = cert;
    }
    if (current != NULL)
        SSL_select_current_cert(ssl, current);
    return leaf;
}

/* Look at the SSL's certificates where they have changed since the last time. */
static bool is_governed(SSL *ssl, tls_state *state)
{
    X509 *current = SSL_get_certificate(ssl), *leaf;
    const SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);

    if (state->ctx == ctx && state->current == current)
        return state->leaf != NULL;
    leaf = find_leaf(ssl, current);
    if (leaf != NULL) {
        X509_up_ref(leaf);
        X509_free(state->leaf);
        state->leaf = leaf;
    }
    if (current != NULL)
        X509_up_ref(current);
    X509_free(state->current);
    state->current = current;
    state->ctx = ctx;
    return state->leaf != NULL;
}

const X509 *prov_tls_own_leaf(const SSL *ssl)
{
    const tls_state *state = SSL_get_ex_data(ssl, ssl_index);

    return state == NULL ? NULL : state->leaf;
}

/* ---- how they are set up ---- */

void prov_tls_kill(SSL *ssl, const char *why)
{
    consul_error err = {0};
    int both = SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN;

    if ((SSL_get_shutdown(ssl) & both) == both)
        return;
    consul_error_set(&err, CONSUL_R_NOT_AUTHORIZED, "%s", why);
    prov_error_raise(&err, NULL);
    SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_set_shutdown(ssl, both);
}

/* Whatever else could stand in for a certificate, or for its verification. */
static void close_other_ways(SSL *ssl)
{
    SSL_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_set_num_tickets(ssl, 0);
    SSL_set_max_early_data(ssl, 0);
    SSL_set_recv_max_early_data(ssl, 0);
    SSL_set_psk_server_callback(ssl, NULL);
    SSL_set_psk_client_callback(ssl, NULL);
    SSL_set_psk_find_session_callback(ssl, NULL);
    SSL_set_psk_use_session_callback(ssl, NULL);
    SSL_set_session_secret_cb(ssl, NULL, NULL);
}

/* Once a handshake: no session that was made before may stand in for this verification. */
static bool forget_sessions(SSL *ssl)
{
    unsigned char context[SSL_MAX_SID_CTX_LENGTH];

    if (SSL_is_server(ssl)) /* sessions of another context are not resumed */
        return RAND_bytes(context, sizeof(context)) == 1
               && SSL_set_session_id_context(ssl, context, sizeof(context)) == 1;
    if (SSL_get_session(ssl) != NULL && SSL_get_state(ssl) == TLS_ST_BEFORE)
        return SSL_set_session(ssl, NULL) == 1;
    return true;
}

static void forget_handshake(tls_state *state)
{
    state->prepared = false;
    state->peer = PROV_PEER_UNKNOWN;
}

bool prov_tls_arm(SSL *ssl)
{
    tls_state *state;

    if (consul_store_in_request())
        return false;
    state = get_state(ssl);
    if (state == NULL) {
        prov_tls_kill(ssl, "no memory to find out whether this connection is governed");
        return true;
    }
    if (SSL_get_state(ssl) == TLS_ST_BEFORE)
        forget_handshake(state);
    if (!is_governed(ssl, state))
        return false;
    /* Exactly this mode: post-handshake authentication, say, would put the question off. */
    SSL_set_verify(ssl,
                   SSL_is_server(ssl) ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                                      : SSL_VERIFY_PEER,
                   NULL);
    if (!state->prepared) {
        close_other_ways(ssl);
        state->prepared = forget_sessions(ssl);
        if (!state->prepared)
            prov_tls_kill(ssl, "the connection could not be set up for Consul Connect");
    }
    if (SSL_session_reused(ssl))
        prov_tls_kill(ssl, "a resumed session or a pre-shared key is no proof of who the peer is");
    if (state->peer == PROV_PEER_LEFT_ALONE)
        prov_tls_kill(ssl, "the Connect leaf came after the peer had been verified without it");
    return true;
}

int prov_tls_set_peer(SSL *ssl, enum prov_peer peer)
{
    tls_state *state = get_state(ssl);

    if (state == NULL)
        return 0;
    state->peer = peer;
    return 1;
}

/* Nobody comes this far in a governed handshake who was not authorized in it, by whatever way. */
static void require_authorized(SSL *ssl)
{
    const tls_state *state = SSL_get_ex_data(ssl, ssl_index);

    if (state == NULL || state->peer != PROV_PEER_AUTHORIZED)
        prov_tls_kill(ssl, "the peer finished the handshake without having been verified");
}

/* ---- the turns of a handshake ---- */

/* Ciphers without certificates of their own would be asked for none: anonymous, PSK, SRP. */
static bool authenticates(const SSL_CIPHER *cipher)
{
    int nid = cipher == NULL ? NID_auth_null : SSL_CIPHER_get_auth_nid(cipher);

    return nid != NID_auth_null && nid != NID_auth_psk && nid != NID_auth_srp;
}

static int on_security(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                       void *ex)
{
    SSL *ssl = (SSL *)s; /* const here only because most callbacks just look */
    bool is_cipher = op == SSL_SECOP_CIPHER_SUPPORTED || op == SSL_SECOP_CIPHER_SHARED
                     || op == SSL_SECOP_CIPHER_CHECK;

    /* Asked some hundred times a handshake: mostly about ciphers, and the answer is known. */
    if (ssl != NULL && (is_cipher || op == SSL_SECOP_VERSION) && prov_tls_arm(ssl) && is_cipher
        && !authenticates(other))
        return 0;
    return atomic_load_explicit(&default_security, memory_order_relaxed)(s, ctx, op, bits, nid,
                                                                         other, ex);
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    prov_tls_arm(ssl);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static void on_message(int write_p, int version, int content_type, const void *buf, size_t len,
                       SSL *ssl, void *arg)
{
    bool is_finished;

    if (content_type != SSL3_RT_HANDSHAKE)
        return;
    is_finished = len > 0 && *(const unsigned char *)buf == SSL3_MT_FINISHED;
    if (prov_tls_arm(ssl) && is_finished && write_p == 0)
        require_authorized(ssl); /* the peer's last message, and not yet acted upon */
}

static int on_new_session(SSL *ssl, int is_forward_secure)
{
    if (!prov_tls_arm(ssl))
        return 0;
    if (!authenticates(SSL_get_pending_cipher(ssl)))
        prov_tls_kill(ssl, "the cipher authenticates nobody");
    return 1;
}

/* ---- where it begins ---- */

static void on_ssl_ctx_new(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                           void *argp)
{
    SSL_CTX *ctx = parent;

    if (consul_store_in_request())
        return;
    atomic_store_explicit(&default_security, SSL_CTX_get_security_callback(ctx),
                          memory_order_relaxed);
    SSL_CTX_set_security_callback(ctx, on_security);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
    SSL_CTX_set_msg_callback(ctx, on_message);
    SSL_CTX_set_not_resumable_session_callback(ctx, on_new_session);
    SSL_CTX_set_cert_verify_callback(ctx, prov_verify_peer, NULL);
}

int prov_tls_mark_verification(X509_STORE_CTX *ctx)
{
    static char mark;

    return X509_STORE_CTX_set_ex_data(ctx, store_ctx_index, &mark);
}

/* Freed before libssl looks at the result of its verification, on every path. */
static void on_store_ctx_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                              void *argp)
{
    SSL *ssl;

    if (ptr != NULL || parent == NULL)
        return;
    /* Nearly all others belong to no connection. */
    ssl = X509_STORE_CTX_get_ex_data(parent, SSL_get_ex_data_X509_STORE_CTX_idx());
    if (ssl != NULL && prov_tls_arm(ssl))
        prov_tls_kill(ssl, "the application verified the peer by itself");
}

/* In provider init, while OpenSSL's configuration is locked: nothing here may ask for it. */
static void install(void)
{
    ssl_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, dup_state, free_state);
    store_ctx_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_X509_STORE_CTX, 0, NULL, NULL, NULL,
                                              on_store_ctx_free);
    /* Last, as it sets the others to work. */
    if (ssl_index >= 0 && store_ctx_index >= 0)
        ssl_ctx_index =
            CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, on_ssl_ctx_new, NULL, NULL);
}

int prov_tls_hook_install(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, install);
    return ssl_ctx_index >= 0;
}
