/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS hook. OpenSSL runs our function whenever an SSL_CTX is made. From there, callbacks at several
 * turns of the handshake lead to prov_tls_arm:
 *
 *     security       both sides, before anything else of a handshake, and all through it
 *     client_hello   server, before a session is looked up
 *     message        both sides, with each handshake message
 *     info           both sides, before each step, where the application has displaced security
 *     not_resumable  server, after cipher and certificate are chosen
 *     cert_verify    both sides, in place of libssl's own verification (verify.c)
 *     extension      client, while its ClientHello is made
 *     ticket         server, while a ticket of TLS 1.3 is made
 *     freed          both sides, when the context of any verification is freed; the place to verify a peer
 *                    where the application has displaced cert_verify
 *
 * An application may displace any of them by its own, except the last three. So each of them is enough for the
 * turns after it. Each sets up the last stop, at which the peer has to have been authorized (govern.c).
 */
#include "tls/hooks.h"

#include "endpoint/endpoint.h"
#include "endpoint/quic.h"
#include "instance/crypto.h"
#include "instance/instances.h"
#include "report/board.h"
#include "report/log.h"
#include "tls/govern.h"
#include "tls/guard.h"
#include "tls/half.h"
#include "tls/present.h"
#include "tls/security.h"
#include "tls/stop.h"
#include "tls/verify.h"

#include <pthread.h>
#include <stdatomic.h>

#include <openssl/crypto.h>

#define EXTENSION 65401        /* for private use, RFC 8446; never sent */
#define TICKET_EXTENSION 65402 /* likewise */
#define WITH_HIDDEN_HELLO \
    0x40000000UL /* from 4.0 on, an extension that is left out of one ends it */

/* Numbers without data: their functions are what OpenSSL calls. */
static int store_ctx_index = -1, ssl_ctx_index = -1;

/* ---- the turns of a handshake ---- */

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    endpoint *e = prov_tls_arm(ssl);

    if (e != NULL)
        prov_tls_expect_leaf(e, ssl);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* Return true if a message callback is told of a record of data. In TLS 1.3 a byte of its own has the type. */
static bool is_data(int content_type, const unsigned char *first, size_t len, const SSL *ssl)
{
    if (len == 0 || *first != SSL3_RT_APPLICATION_DATA)
        return false;
    return content_type
           == (SSL_version(ssl) == TLS1_3_VERSION ? SSL3_RT_INNER_CONTENT_TYPE : SSL3_RT_HEADER);
}

/* Notice alerts and data. Most calls are of headers, and say nothing. */
static void on_record(int write_p, int content_type, const unsigned char *content, size_t len,
                      SSL *ssl)
{
    if (content_type == SSL3_RT_ALERT && len == 2 && content[0] == SSL3_AL_FATAL
        && !consul_store_in_request())
        prov_tls_half_report(ssl);
    if (is_data(content_type, content, len, ssl))
        prov_tls_notice_data(ssl, write_p == 1);
}

static void __attribute__((noinline))
on_handshake_message(int write_p, const unsigned char *message, size_t len, SSL *ssl)
{
    bool says_hello = write_p == 1 && len != 0 && message[0] == SSL3_MT_SERVER_HELLO;
    endpoint *e = says_hello ? prov_tls_arm_anew(ssl) : prov_tls_arm(ssl);

    if (e == NULL || len == 0)
        return;
    endpoint_note_message(e);
    if (write_p == 0 && message[0] == SSL3_MT_CLIENT_HELLO)
        prov_tls_expect_leaf(e, ssl);
    /* A server's Certificate is made after its ServerHello was written. */
    if (says_hello && prov_tls_is_governed(e))
        prov_tls_replace_chosen(e, ssl);
    /* The peer's last message, and not yet acted upon. */
    if (write_p == 0 && message[0] == SSL3_MT_FINISHED)
        prov_tls_finish(e, ssl);
}

static void on_message(int write_p, int version, int content_type, const void *buf, size_t len,
                       SSL *ssl, void *arg)
{
    if (content_type == SSL3_RT_HANDSHAKE)
        on_handshake_message(write_p, buf, len, ssl);
    else
        on_record(write_p, content_type, buf, len, ssl);
}

/* Forbid a session of TLS 1.2. A server of TLS 1.3 writes no ticket to a client that it admits, and has to ask us else. */
static int on_new_session(SSL *ssl, int is_forward_secure)
{
    bool has_late_ticket = SSL_version(ssl) == TLS1_3_VERSION || endpoint_is_quic(ssl);
    endpoint *e = prov_tls_arm_anew(ssl);

    if (!prov_tls_is_governed(e))
        return 0;
    prov_tls_replace_chosen(e, ssl);
    if (!prov_tls_authenticates(SSL_get_pending_cipher(ssl)))
        prov_tls_stop(ssl, "the cipher authenticates no peer; choose one with certificates");
    return !has_late_ticket;
}

/* Return true where a server without a certificate begins. Its callbacks may displace ours before ours are asked. */
static bool begins_without_certificate(const SSL *ssl, int where)
{
    return where == SSL_CB_HANDSHAKE_START && SSL_is_server(ssl)
           && SSL_get_certificate(ssl) == NULL;
}

/*
 * Return true where the server of a service resumes a session. It may have switched to its leaf's context after the session
 * was found. With TLS 1.2 nothing else of ours is asked then. The context brings our security callback back, too.
 */
static bool resumes_as_a_service(SSL *ssl, int where)
{
    endpoint *e;

    if ((where & SSL_CB_LOOP) == 0 || !SSL_is_server(ssl) || !SSL_session_reused(ssl))
        return false;
    e = prov_tls_arm(ssl);
    return e == NULL || prov_tls_is_governed(e);
}

/*
 * Do the work of the security callback where the application has displaced that: set up the last stop. Arm a server in time
 * to forbid resumption.
 */
static void on_info(const SSL *ssl, int where, int value)
{
    if (!prov_tls_is_secured(ssl) || resumes_as_a_service((SSL *)ssl, where))
        prov_tls_on_info(ssl, where, value);
    else if (begins_without_certificate(ssl, where))
        prov_tls_arm((SSL *)ssl);
}

/*
 * Leave our extension out of a ClientHello, and arm. The application cannot remove it. A client that has displaced
 * the other callbacks may be given its leaf later. Its last stop is set up all the same.
 */
static int on_client_extension(SSL *ssl, unsigned int type, unsigned int context,
                               const unsigned char **out, size_t *out_len, X509 *cert, size_t index,
                               int *alert, void *arg)
{
    endpoint *e = prov_tls_arm(ssl);

    if (e != NULL && !prov_tls_is_secured(ssl))
        prov_tls_watch_end(e, ssl);
    return 0;
}

/*
 * Leave our extension out of a ticket; or end the handshake where the client is not authorized. The application cannot remove
 * it. A server that has displaced all other callbacks is found here, as long as it writes tickets.
 */
static int on_ticket(SSL *ssl, unsigned int type, unsigned int context, const unsigned char **out,
                     size_t *out_len, X509 *cert, size_t index, int *alert, void *arg)
{
    endpoint *e = prov_tls_arm_anew(ssl);

    *alert = SSL_AD_ACCESS_DENIED;
    if (e == NULL)
        return consul_store_in_request() ? 0 : -1;
    return prov_tls_stop_unverified(ssl) ? -1 : 0;
}

/*
 * Arm again when libssl frees the context of its verification, before it looks at the result. An
 * application may free contexts of its own that name an SSL which is gone. So an SSL is looked at only if
 * it is alive and in a handshake.
 */
static void on_store_ctx_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                              void *argp)
{
    SSL *ssl = parent == NULL
                   ? NULL
                   : X509_STORE_CTX_get_ex_data(parent, SSL_get_ex_data_X509_STORE_CTX_idx());
    endpoint *e;

    /* Nearly all others belong to no connection. */
    if (ssl == NULL || !endpoint_is_alive(ssl) || !SSL_in_init(ssl) || SSL_in_before(ssl))
        return;
    e = prov_tls_arm(ssl);
    if (e != NULL && endpoint_rule(e) != ENDPOINT_LEFT_ALONE
        && endpoint_peer(e) == ENDPOINT_PEER_UNVERIFIED)
        prov_verify_displaced(e, ssl, parent);
}

/* ---- where it begins ---- */

/*
 * Show the process, and load the libraries for requests. Programs confine themselves between their first SSL_CTX and
 * the first handshake. Without a library each governed connection is refused, for the same reason. A service has loaded
 * them at its start.
 */
static void begin_tls(void)
{
    consul_store *store = prov_active_store(NULL);
    consul_error err = {0};

    prov_board_open();
    if (store != NULL && !consul_store_load(store, &err))
        prov_log_error(CONSUL_LOG_WARNING, "library_missing", &err,
                       "services are refused, and other TLS is left alone");
    consul_store_unref(store);
}

static void on_ssl_ctx_new(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                           void *argp)
{
    static atomic_flag has_begun = ATOMIC_FLAG_INIT;
    SSL_CTX *ctx = parent;

    if (consul_store_in_request())
        return;
    prov_crypto_look();
    if (!atomic_flag_test_and_set(&has_begun))
        begin_tls(); /* a constructor of a library may make an SSL_CTX, too */
    prov_tls_secure(ctx);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
    SSL_CTX_set_msg_callback(ctx, on_message);
    SSL_CTX_set_info_callback(ctx, on_info);
    SSL_CTX_set_not_resumable_session_callback(ctx, on_new_session);
    SSL_CTX_set_cert_verify_callback(ctx, prov_verify_peer, NULL);
    SSL_CTX_add_custom_ext(ctx, TICKET_EXTENSION, SSL_EXT_TLS1_3_NEW_SESSION_TICKET, on_ticket,
                           NULL, NULL, NULL, NULL);
    if (OpenSSL_version_num() < WITH_HIDDEN_HELLO)
        SSL_CTX_add_custom_ext(ctx, EXTENSION, SSL_EXT_CLIENT_HELLO, on_client_extension, NULL,
                               NULL, NULL, NULL);
}

/* Install the hooks, in provider init. OpenSSL's configuration is locked, and is not asked for here. */
static void install(void)
{
    /* The tables of hooks belong to the default library context of this thread. */
    OSSL_LIB_CTX *current = OSSL_LIB_CTX_set0_default(OSSL_LIB_CTX_get0_global_default());

    store_ctx_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_X509_STORE_CTX, 0, NULL, NULL, NULL,
                                              on_store_ctx_free);
    /* Last, as it sets the others to work. */
    if (endpoint_init() && prov_tls_half_init() && store_ctx_index >= 0)
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
