/* SPDX-License-Identifier: Apache-2.0 */
/* How the application displaces our callbacks. */
#include "app.h"

#include "hostile.h"
#include "tls.h"

#define HAS(name, wanted) (app.r.value[AXIS_##name] == name##_##wanted)

static int check_by_openssl(X509_STORE_CTX *store, void *arg)
{
    X509_verify_cert(store);
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

/* Verify the peer by Consul's roots, without libssl's context. */
static int check_by_roots(X509_STORE_CTX *theirs, void *arg)
{
    X509_STORE *roots = X509_STORE_new();
    X509_STORE_CTX *own = X509_STORE_CTX_new();
    bool ok;

    X509_STORE_add_cert(roots, world.ca.cert);
    X509_STORE_CTX_init(own, roots, X509_STORE_CTX_get0_cert(theirs),
                        X509_STORE_CTX_get0_untrusted(theirs));
    ok = X509_verify_cert(own) > 0;
    X509_STORE_CTX_set_error(theirs, ok ? X509_V_OK : X509_STORE_CTX_get_error(own));
    X509_STORE_CTX_free(own);
    X509_STORE_free(roots);
    return ok;
}

static void no_info(const SSL *ssl, int where, int value)
{
}

static void (*wrapped_info)(const SSL *ssl, int where, int value);

static void wrapping_info(const SSL *ssl, int where, int value)
{
    if (wrapped_info != NULL)
        wrapped_info(ssl, where, value);
}

static void wrap_info(SSL *ssl)
{
    if (SSL_get_info_callback(ssl) == wrapping_info)
        return;
    wrapped_info = SSL_get_info_callback(ssl);
    CALL(SSL_set_info_callback(ssl, wrapping_info));
}

void app_displace_on_ctx(SSL_CTX *ctx)
{
    if (HAS(SECURITY, ON_CTX))
        CALL(SSL_CTX_set_security_callback(ctx, hostile_security));
    if (HAS(HELLO, ON_CTX) || HAS(HELLO, ON_SSL)) /* an SSL has none of its own */
        CALL(SSL_CTX_set_client_hello_cb(ctx, hostile_client_hello, NULL));
    if (HAS(HELLO, REMOVED))
        CALL(SSL_CTX_set_client_hello_cb(ctx, NULL, NULL));
    if (HAS(MESSAGE, ON_CTX))
        CALL(SSL_CTX_set_msg_callback(ctx, hostile_message));
    if (HAS(MESSAGE, REMOVED))
        CALL(SSL_CTX_set_msg_callback(ctx, NULL));
    if (HAS(SESSION, ON_CTX))
        CALL(SSL_CTX_set_not_resumable_session_callback(ctx, hostile_not_resumable));
    if (HAS(SESSION, REMOVED))
        CALL(SSL_CTX_set_not_resumable_session_callback(ctx, NULL));
    if (HAS(CHECK, ON_CTX) || HAS(CHECK, ON_SSL))
        CALL(SSL_CTX_set_cert_verify_callback(ctx, app_accept_all, NULL));
    if (HAS(CHECK, REMOVED))
        CALL(SSL_CTX_set_cert_verify_callback(ctx, NULL, NULL));
    if (HAS(CHECK, BY_OPENSSL))
        CALL(SSL_CTX_set_cert_verify_callback(ctx, check_by_openssl, NULL));
    if (HAS(CHECK, BY_ROOTS))
        CALL(SSL_CTX_set_cert_verify_callback(ctx, check_by_roots, NULL));
    if (HAS(INFO, ON_CTX))
        CALL(SSL_CTX_set_info_callback(ctx, no_info));
}

void app_displace_on_ssl(SSL *ssl)
{
    if (HAS(SECURITY, ON_SSL))
        CALL(SSL_set_security_callback(ssl, hostile_security));
    if (HAS(MESSAGE, ON_SSL))
        CALL(SSL_set_msg_callback(ssl, hostile_message));
    if (HAS(SESSION, ON_SSL))
        CALL(SSL_set_not_resumable_session_callback(ssl, hostile_not_resumable));
    if (HAS(INFO, ON_SSL))
        CALL(SSL_set_info_callback(ssl, no_info));
    if (HAS(INFO, REMOVED))
        CALL(SSL_set_info_callback(ssl, NULL));
}

/* Displace them in a handshake. A client hello callback is the context's. */
void app_displace_inside(SSL *ssl)
{
    SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);

    if (HAS(SECURITY, INSIDE))
        CALL(SSL_set_security_callback(ssl, hostile_security));
    if (HAS(HELLO, INSIDE))
        CALL(SSL_CTX_set_client_hello_cb(ctx, hostile_client_hello, NULL));
    if (HAS(MESSAGE, INSIDE))
        CALL(SSL_set_msg_callback(ssl, hostile_message));
    if (HAS(SESSION, INSIDE))
        CALL(SSL_set_not_resumable_session_callback(ssl, hostile_not_resumable));
    if (HAS(CHECK, INSIDE))
        CALL(SSL_CTX_set_cert_verify_callback(ctx, app_accept_all, NULL));
    if (HAS(INFO, WRAPPED))
        wrap_info(ssl);
    if (HAS(INFO, INSIDE))
        CALL(SSL_set_info_callback(ssl, no_info));
}
