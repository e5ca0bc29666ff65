/* SPDX-License-Identifier: Apache-2.0 */
/* The places in which an application gets to its SSL in the midst of a handshake. */
#include "app.h"

#include "unit.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>

#include "hostile.h"
#include "tls.h"

static int at_hello(SSL *ssl, int *alert, void *arg)
{
    if (ROW_IS(&app.r, GIVEN, GIVEN_IN_HELLO) && app.own.cert != NULL)
        app_give(ssl);
    app_at(AT_HELLO, ssl);
    return app_waits() ? SSL_CLIENT_HELLO_RETRY : SSL_CLIENT_HELLO_SUCCESS;
}

static int at_name(SSL *ssl, int *alert, void *arg)
{
    if (ROW_IS(&app.r, GIVEN, GIVEN_BY_NAME) && app.own.cert != NULL)
        app_give(ssl);
    if (ROW_IS(&app.r, GIVEN, GIVEN_BY_SWITCH) && ROW_IS(&app.r, ROLE, ROLE_SERVER))
        CALL(SSL_set_SSL_CTX(ssl, app.ctx));
    app_at(AT_NAME, ssl);
    return SSL_TLSEXT_ERR_OK;
}

static int at_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned int in_len, void *arg)
{
    app_at(AT_ALPN, ssl);
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static int at_status(SSL *ssl, void *arg)
{
    app_at(AT_STATUS, ssl);
    return SSL_is_server(ssl) ? SSL_TLSEXT_ERR_NOACK : 1;
}

static int at_added(SSL *ssl, unsigned int type, unsigned int context, const unsigned char **out,
                    size_t *out_len, X509 *cert, size_t index, int *alert, void *arg)
{
    app_at(AT_ADDED, ssl);
    return 1;
}

static int at_parsed(SSL *ssl, unsigned int type, unsigned int context, const unsigned char *in,
                     size_t in_len, X509 *cert, size_t index, int *alert, void *arg)
{
    app_at(AT_PARSED, ssl);
    return 1;
}

static void at_keylog(const SSL *ssl, const char *line)
{
    app_at(AT_KEYLOG, (SSL *)ssl);
}

static int at_cert_cb(SSL *ssl, void *arg)
{
    app_at(AT_CERT_CB, ssl);
    return app_waits() ? -1 : 1;
}

static int at_client_cert(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
    app_at(AT_CLIENT_CERT, ssl);
    return app_waits() ? -1 : 0;
}

static void at_message(int write_p, int version, int content_type, const void *buf, size_t len,
                       SSL *ssl, void *arg)
{
    app_at(AT_MESSAGE, ssl);
}

static void at_info(const SSL *ssl, int where, int value)
{
    app_at(AT_INFO, (SSL *)ssl);
}

static int at_check(X509_STORE_CTX *store, void *arg)
{
    app.verifying = store;
    app_at(AT_CHECK, X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    app.verifying = NULL;
    return app_accept_all(store, arg);
}

typedef int security_fn(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                        void *ex);
static security_fn *next_security;

static int at_security(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                       void *ex)
{
    static bool inside;
    int ok;

    if (inside) /* the application's own calls of libssl come here, too */
        return next_security(s, ctx, op, bits, nid, other, ex);
    inside = true;
    ok = next_security(s, ctx, op, bits, nid, other, ex);
    app_at(AT_SECURITY, (SSL *)s);
    inside = false;
    return ok;
}

static int at_resumable(SSL *ssl, int is_forward_secure)
{
    app_at(AT_RESUMABLE, ssl);
    return 0;
}

static int at_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int is_new)
{
    static unsigned char key[32] = "the key of all processes";
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, sizeof(key)),
                           OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_END};

    app_at(AT_TICKET_KEY, ssl);
    if (is_new) {
        memcpy(name, key, 16);
        memset(iv, 'i', 16);
    }
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key, iv, is_new) == 1
           && EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int at_ticket_made(SSL *ssl, void *arg)
{
    app_at(AT_TICKET, ssl);
    return 1;
}

static SSL_TICKET_RETURN at_ticket_read(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                        size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
    app_at(AT_TICKET, ssl);
    return session == NULL ? SSL_TICKET_RETURN_IGNORE_RENEW : SSL_TICKET_RETURN_USE;
}

static unsigned int at_psk_server(SSL *ssl, const char *identity, unsigned char *key,
                                  unsigned int size)
{
    app_at(AT_PSK, ssl);
    return hostile_psk_server(ssl, identity, key, size);
}

static unsigned int at_psk_client(SSL *ssl, const char *hint, char *identity,
                                  unsigned int identity_size, unsigned char *key, unsigned int size)
{
    app_at(AT_PSK, ssl);
    return hostile_psk_client(ssl, hint, identity, identity_size, key, size);
}

static int at_session_id(SSL *ssl, unsigned char *id, unsigned int *len)
{
    app_at(AT_SESSION_ID, ssl);
    return RAND_bytes(id, (int)*len);
}

static SSL_SESSION *at_look_up(SSL *ssl, const unsigned char *id, int len, int *copy)
{
    app_at(AT_LOOK_UP, ssl);
    *copy = 1;
    return app.stored;
}

static int at_new_session(SSL *ssl, SSL_SESSION *session)
{
    app_at(AT_NEW_SESSION, ssl);
    return 0;
}

/* Come to the place in which libssl verifies its own chain, before it sends that. */
static int at_own_chain(int ok, X509_STORE_CTX *store)
{
    app_at(AT_OWN_CHAIN, app.ssl);
    return ok;
}

static size_t at_padding(SSL *ssl, int type, size_t len, void *arg)
{
    app_at(AT_PADDING, ssl);
    return 0;
}

static int at_early(SSL *ssl, void *arg)
{
    app_at(AT_EARLY, ssl);
    return 1;
}

/* ---- how an application sets them ---- */

static void set_security(SSL_CTX *ctx)
{
    next_security = SSL_CTX_get_security_callback(ctx);
    CALL(SSL_CTX_set_security_callback(ctx, at_security));
}

static void set_early(SSL_CTX *ctx, enum place place)
{
    if (place == AT_HELLO || ROW_IS(&app.r, GIVEN, GIVEN_IN_HELLO))
        CALL(SSL_CTX_set_client_hello_cb(ctx, at_hello, NULL));
    if (place == AT_NAME || ROW_IS(&app.r, GIVEN, GIVEN_BY_NAME)
        || ROW_IS(&app.r, GIVEN, GIVEN_BY_SWITCH))
        CALL(SSL_CTX_set_tlsext_servername_callback(ctx, at_name));
    if (place == AT_ALPN)
        CALL(SSL_CTX_set_alpn_select_cb(ctx, at_alpn, NULL));
    if (place == AT_STATUS)
        CALL(SSL_CTX_set_tlsext_status_cb(ctx, at_status));
    if (place == AT_ADDED || place == AT_PARSED)
        CALL(SSL_CTX_add_custom_ext(ctx, ATTACK_EXTENSION, ATTACK_EXTENSION_IN, at_added, NULL,
                                    NULL, at_parsed, NULL));
    if (place == AT_CERT_CB)
        CALL(SSL_CTX_set_cert_cb(ctx, at_cert_cb, NULL));
    if (place == AT_CLIENT_CERT)
        CALL(SSL_CTX_set_client_cert_cb(ctx, at_client_cert));
    if (place == AT_SECURITY)
        set_security(ctx);
}

static void set_session(SSL_CTX *ctx, enum place place)
{
    if (place == AT_RESUMABLE)
        CALL(SSL_CTX_set_not_resumable_session_callback(ctx, at_resumable));
    if (place == AT_TICKET_KEY)
        CALL(SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, at_ticket_key));
    if (place == AT_TICKET)
        CALL(SSL_CTX_set_session_ticket_cb(ctx, at_ticket_made, at_ticket_read, NULL));
    if (place == AT_PSK) {
        CALL(SSL_CTX_set_psk_server_callback(ctx, at_psk_server));
        CALL(SSL_CTX_set_psk_client_callback(ctx, at_psk_client));
    }
    if (place == AT_SESSION_ID)
        CALL(SSL_CTX_set_generate_session_id(ctx, at_session_id));
    if (place == AT_LOOK_UP || ROW_IS(&app.r, LIFE, LIFE_CACHE))
        CALL(SSL_CTX_sess_set_get_cb(ctx, at_look_up));
    if (place == AT_NEW_SESSION)
        CALL(SSL_CTX_sess_set_new_cb(ctx, at_new_session));
}

void app_set_place(SSL_CTX *ctx)
{
    enum place place = app.r.value[AXIS_PLACE];

    set_early(ctx, place);
    set_session(ctx, place);
    if (place == AT_KEYLOG)
        CALL(SSL_CTX_set_keylog_callback(ctx, at_keylog));
    if (place == AT_MESSAGE)
        CALL(SSL_CTX_set_msg_callback(ctx, at_message));
    if (place == AT_INFO)
        CALL(SSL_CTX_set_info_callback(ctx, at_info));
    if (place == AT_CHECK)
        CALL(SSL_CTX_set_cert_verify_callback(ctx, at_check, NULL));
    if (place == AT_PADDING)
        CALL(SSL_CTX_set_record_padding_callback(ctx, at_padding));
    if (place == AT_OWN_CHAIN)
        CALL(X509_STORE_set_verify_cb(SSL_CTX_get_cert_store(ctx), at_own_chain));
    if (place == AT_EARLY) {
        CALL(SSL_CTX_set_allow_early_data_cb(ctx, at_early, NULL));
        CALL(SSL_CTX_set_max_early_data(ctx, 4096));
        CALL(SSL_CTX_set_options(ctx, SSL_OP_NO_ANTI_REPLAY));
    }
}
