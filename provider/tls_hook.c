/*
 * The TLS hook. OpenSSL runs our function whenever an SSL_CTX is made; from there, callbacks at
 * several turns of the handshake lead to prov_tls_arm. An application may displace any of them by its
 * own, but for the last, so each is enough by itself for what comes after it:
 *
 *   security       both sides, before anything else of a handshake, and all through it
 *   client_hello   server, before a session is looked up
 *   message        both sides, with each handshake message
 *   not_resumable  server, after cipher and certificate are chosen
 *   cert_verify    both sides, in place of libssl's own verification (verify_hook.c)
 *   freed          both sides, when the context of a verification is freed, whoever made that
 *
 * and each of them sets up the last stop, at which the peer has to have been authorized (tls_stop.c).
 */
#include "endpoint.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/objects.h>
#include <openssl/rand.h>

/* Of nothing: they are there for their functions. */
static int store_ctx_index = -1, ssl_ctx_index = -1;

typedef int security_fn(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                        void *ex);

/* libssl's own security callback; the same for every SSL_CTX, and set before ours can run. */
static _Atomic(security_fn *) default_security;

/*
 * States of a handshake, by their names of SSL_state_string(3). The numbers of TLS_ST_..., but for
 * BEFORE and OK, are not the same in all of libssl.so.3: 3.2 has put others between them.
 */
#define READS_CLIENT_HELLO "TRCH"
#define SENDS_SERVER_CERTIFICATE "TWSC"
#define SENDS_CLIENT_CERTIFICATE "TWCC"

static bool is_in_state(const SSL *ssl, const char *name)
{
    return strcmp(SSL_state_string(ssl), name) == 0;
}

/* ---- how a governed connection is set up ---- */

/* A server's turn to choose what it presents: the live leaf of the configured service. */
static int on_certificate(SSL *ssl, void *arg)
{
    endpoint *e = endpoint_get(ssl);
    consul_error err = {0};

    if (e == NULL || endpoint_present_leaf(e, ssl, &err))
        return e != NULL;
    endpoint_report(e, ssl, &err, "no leaf to present");
    return 0;
}

/*
 * What a server has chosen to present is the live leaf, or nothing: an application's own callback,
 * or a handshake that asks us only after ours was displaced, may have chosen a stand-in.
 */
static void replace_chosen(endpoint *e, SSL *ssl)
{
    consul_error err = {0};

    if (!SSL_is_server(ssl) || !e->has_service || endpoint_is_ours(e, SSL_get_certificate(ssl))
        || endpoint_present_leaf(e, ssl, &err))
        return;
    SSL_certs_clear(ssl);
    endpoint_report(e, ssl, &err, "no leaf to present");
}

/* A client's: the verify hook has put the live leaf there, and nothing shall take its place. */
static int on_client_certificate(SSL *ssl, void *arg)
{
    return 1;
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

/* Set up a governed connection for its handshake, and stop it where that comes too late. */
static void enforce(endpoint *e, SSL *ssl)
{
    /* Exactly this mode: post-handshake authentication, say, would put the question off. */
    SSL_set_verify(ssl, SSL_is_server(ssl) ? PROV_SERVER_VERIFY_MODE : SSL_VERIFY_PEER, NULL);
    if (e->has_service)
        SSL_set_cert_cb(ssl, SSL_is_server(ssl) ? on_certificate : on_client_certificate, NULL);
    if (!e->prepared) {
        close_other_ways(ssl);
        e->prepared = forget_sessions(ssl);
        if (!e->prepared)
            prov_tls_stop(ssl, "the connection could not be set up for Consul Connect");
    }
    if (SSL_session_reused(ssl))
        prov_tls_stop(ssl, "a resumed session or a pre-shared key is no proof of who the peer is");
    if (e->peer == ENDPOINT_PEER_LEFT_ALONE)
        prov_tls_stop(ssl, "the Connect leaf came after the peer had been verified without it");
}

/*
 * A server that is given its certificate only in the handshake: nobody knows yet what it is. A
 * resumed session would decide that before it is told, and be another service's, or nobody's.
 */
static void prepare_for_the_unknown(endpoint *e, SSL *ssl)
{
    if (SSL_get_state(ssl) != TLS_ST_BEFORE && !is_in_state(ssl, READS_CLIENT_HELLO))
        return;
    SSL_set_options(ssl, SSL_OP_NO_TICKET);
    e->unknown = forget_sessions(ssl);
    if (!e->unknown)
        prov_tls_stop(ssl, "the connection could not be set up without resumption");
}

endpoint *prov_tls_arm(SSL *ssl)
{
    endpoint *e;

    if (consul_store_in_request())
        return NULL;
    e = endpoint_get(ssl);
    if (e != NULL)
        e->question.op = 0;
    if (e == NULL)
        prov_tls_stop(ssl, "no memory to find out whether this connection is governed");
    else if (endpoint_judge(e, ssl) == ENDPOINT_GOVERNED)
        enforce(e, ssl);
    else if (SSL_is_server(ssl) && e->seen_count == 0 && !e->unknown)
        prepare_for_the_unknown(e, ssl);
    if (e != NULL && e->rule != ENDPOINT_LEFT_ALONE)
        prov_tls_listen(e, ssl);
    return e;
}

static bool is_governed(const endpoint *e)
{
    return e != NULL && e->rule == ENDPOINT_GOVERNED;
}

/* ---- the turns of a handshake ---- */

/* Ciphers without certificates of their own would be asked for none: anonymous, PSK, SRP. */
static bool authenticates(const SSL_CIPHER *cipher)
{
    int nid = cipher == NULL ? NID_auth_null : SSL_CIPHER_get_auth_nid(cipher);

    return nid != NID_auth_null && nid != NID_auth_psk && nid != NID_auth_srp;
}

/* May this cipher be used on a governed connection? None may where nobody knows what was meant. */
static bool __attribute__((noinline))
accepts_cipher(endpoint *e, const SSL *ssl, const SSL_CIPHER *cipher)
{
    consul_error why = {0};

    if (!e->unusable)
        return authenticates(cipher);
    if (!e->reported) {
        consul_store_unref(prov_active_store(&why));
        endpoint_report(e, ssl, &why, "all TLS of this process is refused");
    }
    return false;
}

/*
 * Would a stand-in be sent as it is, or something else instead of the live leaf? libssl asks about
 * the certificate that it is about to send, whoever chose it. A client_cert_cb is asked where the
 * server does not accept the leaf.
 */
static bool takes_the_place_of_the_leaf(SSL *ssl, const X509 *cert)
{
    bool sent =
        is_in_state(ssl, SENDS_SERVER_CERTIFICATE) || is_in_state(ssl, SENDS_CLIENT_CERTIFICATE);
    endpoint *e = endpoint_get(ssl);
    consul_error err = {0};
    consul_uri uri;

    if (e == NULL || endpoint_is_ours(e, cert))
        return e == NULL && sent;
    if (!(sent && consul_cert_stands_in(cert, &uri))
        && !(is_governed(e) && e->has_service
             && (sent || (!SSL_is_server(ssl) && e->peer == ENDPOINT_PEER_AUTHORIZED))))
        return false;
    consul_error_set(&err, CONSUL_R_OWN_IDENTITY_INVALID,
                     "it is not the live leaf that would be presented");
    endpoint_report(e, ssl, &err, NULL);
    return true;
}

/*
 * A certificate is being given to a connection in its handshake, by a client_cert_cb say, or is about to
 * be sent. A Connect leaf makes it governed, which is too late where the peer has passed by the
 * application's rules, and where a server of TLS 1.3 is past its CertificateRequest and has sent none.
 *
 * Not inlined, as accepts_cipher: their frames would be paid for whatever on_security is asked.
 */
static bool __attribute__((noinline)) comes_too_late(SSL *ssl, X509 *cert)
{
    endpoint *e = endpoint_find(ssl);
    bool is_live =
             is_governed(e) && endpoint_is_ours(e, cert) && e->peer != ENDPOINT_PEER_LEFT_ALONE,
         sent = is_in_state(ssl, SENDS_SERVER_CERTIFICATE), demanded;
    consul_uri uri;

    if (cert == NULL || !SSL_in_init(ssl) || SSL_get_state(ssl) == TLS_ST_BEFORE
        || (is_live && !sent))
        return false;
    if (takes_the_place_of_the_leaf(ssl, cert))
        return true;
    if (!is_live && !(consul_cert_claims_connect(cert) || consul_cert_stands_in(cert, &uri)))
        return false;
    demanded = SSL_get_verify_mode(ssl) == PROV_SERVER_VERIFY_MODE; /* before arming does */
    e = prov_tls_arm(ssl);
    if (e == NULL)
        return false; /* and stopped */
    if (!is_live) {
        endpoint_expect(e, cert);
        prov_tls_arm(ssl);
    }
    if (e->peer != ENDPOINT_PEER_LEFT_ALONE
        && (!sent || demanded || SSL_version(ssl) != TLS1_3_VERSION))
        return false;
    prov_tls_stop(ssl, "the Connect leaf came too late for the peer to be verified with it");
    return true;
}

/*
 * The endpoint, where the same was asked just before, about another cipher, say: libssl goes through
 * a list then, and calls nobody meanwhile who might change anything. Else NULL; so it is
 * between two handshakes, when a list may be another one's.
 */
static endpoint *asked_again(SSL *ssl, int op)
{
    OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl);
    endpoint *e = state == TLS_ST_BEFORE || state == TLS_ST_OK ? NULL : endpoint_find(ssl);

    if (e == NULL || e->question.op != op || e->question.state != state
        || !endpoint_has_seen(e, ssl))
        return NULL;
    return e;
}

/*
 * Is it an application that asks for a list, before it connects? Which end the SSL will be is not known
 * then, where its method has both; such a server is asked again when it has read the ClientHello.
 */
static bool is_before_the_handshake(const SSL *ssl, int op)
{
    const SSL_METHOD *method = SSL_get_ssl_method(ssl);

    return SSL_in_before(ssl)
           && (op != SSL_SECOP_VERSION
               || (SSL_is_server(ssl) && (method == TLS_method() || method == DTLS_method())));
}

static endpoint *arm_for(SSL *ssl, int op)
{
    endpoint *e = asked_again(ssl, op);

    if (e == NULL && !is_before_the_handshake(ssl, op) && (e = prov_tls_arm(ssl)) != NULL)
        e->question = (endpoint_question){.op = op, .state = SSL_get_state(ssl)};
    return e;
}

/*
 * A program is giving a certificate to a context, as servers do before they start and when they check
 * their configuration (nginx -t). Where all TLS is refused, that is the place to say so: it fails, and
 * the program shows why.
 */
static bool __attribute__((noinline)) refuses_all_tls(void)
{
    consul_error why = {0};

    consul_store_unref(prov_active_store(&why));
    if (why.reason == 0 || why.reason == CONSUL_R_NOT_ACTIVE)
        return false;
    prov_error_raise(&why, "all TLS of this process is refused", NULL);
    return true;
}

/* Asked some hundred times a handshake, and mostly about ciphers. */
static int on_security(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                       void *ex)
{
    SSL *ssl = (SSL *)s; /* const here only because most callbacks just look */
    bool refused = false;
    endpoint *e;

    switch (ssl == NULL && op != SSL_SECOP_EE_KEY ? 0 : op) {
    case SSL_SECOP_CIPHER_SUPPORTED:
    case SSL_SECOP_CIPHER_SHARED:
    case SSL_SECOP_CIPHER_CHECK:
        e = arm_for(ssl, op);
        refused = is_governed(e) && !accepts_cipher(e, ssl, other);
        break;
    case SSL_SECOP_SIGALG_SHARED: /* after a server's SNI callback, and before the choice */
    case SSL_SECOP_VERSION:
        arm_for(ssl, op);
        break;
    case SSL_SECOP_EE_KEY:
        refused = ssl == NULL ? refuses_all_tls() : comes_too_late(ssl, other);
        e = ssl == NULL ? NULL : endpoint_find(ssl);
        if (e != NULL)
            e->question.op = 0;
        break;
    default:
        break;
    }
    return refused ? 0
                   : atomic_load_explicit(&default_security, memory_order_relaxed)(s, ctx, op, bits,
                                                                                   nid, other, ex);
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    prov_tls_arm(ssl);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static void on_message(int write_p, int version, int content_type, const void *buf, size_t len,
                       SSL *ssl, void *arg)
{
    const unsigned char *message = buf;
    endpoint *e;

    if (content_type != SSL3_RT_HANDSHAKE)
        return;
    e = prov_tls_arm(ssl);
    if (e == NULL || len == 0)
        return;
    /* A server's Certificate is made after its ServerHello was written. */
    if (write_p == 1 && message[0] == SSL3_MT_SERVER_HELLO && is_governed(e))
        replace_chosen(e, ssl);
    /* The peer's last message, and not yet acted upon. */
    if (write_p == 0 && message[0] == SSL3_MT_FINISHED)
        prov_tls_finish(e, ssl);
}

static int on_new_session(SSL *ssl, int is_forward_secure)
{
    endpoint *e = prov_tls_arm(ssl);

    if (!is_governed(e))
        return 0;
    replace_chosen(e, ssl);
    if (!authenticates(SSL_get_pending_cipher(ssl)))
        prov_tls_stop(ssl, "the cipher authenticates nobody");
    return 1;
}

/*
 * libssl frees the context of its verification before it looks at the result. An application may have
 * contexts of its own, at any time, in which an SSL is named that is no more: none is looked at but
 * one that is alive and in a handshake.
 */
static void on_store_ctx_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                              void *argp)
{
    SSL *ssl = parent == NULL
                   ? NULL
                   : X509_STORE_CTX_get_ex_data(parent, SSL_get_ex_data_X509_STORE_CTX_idx());

    /* Nearly all others belong to no connection. */
    if (ssl != NULL && endpoint_is_alive(ssl) && SSL_in_init(ssl) && !SSL_in_before(ssl))
        prov_tls_arm(ssl);
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

/* In provider init, while OpenSSL's configuration is locked: nothing here may ask for it. */
static void install(void)
{
    /* The tables of hooks belong to what is the thread's default library context just now. */
    OSSL_LIB_CTX *current = OSSL_LIB_CTX_set0_default(OSSL_LIB_CTX_get0_global_default());

    store_ctx_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_X509_STORE_CTX, 0, NULL, NULL, NULL,
                                              on_store_ctx_free);
    /* Last, as it sets the others to work. */
    if (endpoint_init() && store_ctx_index >= 0)
        ssl_ctx_index =
            CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, on_ssl_ctx_new, NULL, NULL);
    OSSL_LIB_CTX_set0_default(current);
}

int prov_tls_hook_install(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, install);
    return ssl_ctx_index >= 0;
}
