/* SPDX-License-Identifier: Apache-2.0 */
/* The things that the application takes back. */
#include "app.h"

#include "unit.h"

#include <openssl/x509v3.h>

#include "hostile.h"
#include "tls.h"

/* ---- callbacks of the application ---- */

static bool has_session_context(void)
{
    return !ROW_IS(&app.r, LIFE, LIFE_FRESH) || ROW_IS(&app.r, TAKE, TAKE_ALL);
}

static int find_key(SSL *ssl, const unsigned char *identity, size_t len, SSL_SESSION **session)
{
    app_at(AT_PSK, ssl);
    *session = peer_key_session(ssl, has_session_context());
    return 1;
}

static int use_key(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len,
                   SSL_SESSION **session)
{
    app_at(AT_PSK, ssl);
    *id = (const unsigned char *)"anyone";
    *len = 6;
    *session = peer_key_session(ssl, has_session_context());
    return 1;
}

static int tell_secret(SSL *ssl, void *secret, int *len, STACK_OF(SSL_CIPHER) *ciphers,
                       const SSL_CIPHER **cipher, void *arg)
{
    memset(secret, 's', 48);
    *len = 48;
    return 1;
}

static int cert_is_fine(SSL *ssl, void *arg)
{
    return 1;
}

static int early_is_fine(SSL *ssl, void *arg)
{
    return 1;
}

/* ---- one thing each ---- */

static void take_options(SSL *ssl)
{
    CALL(SSL_clear_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION));
    CALL(SSL_set_options(ssl, SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION
                                  | SSL_OP_ALLOW_CLIENT_RENEGOTIATION | SSL_OP_NO_ANTI_REPLAY));
    CALL(SSL_set_num_tickets(ssl, 2));
}

static void take_session(SSL *ssl)
{
    CALL(SSL_set_session_id_context(ssl, (const unsigned char *)ATTACK_SID, 3));
    CALL(SSL_set_not_resumable_session_callback(ssl, hostile_not_resumable));
    if (SSL_get_session(ssl) != NULL)
        CALL(SSL_SESSION_set1_id_context(SSL_get_session(ssl), (const unsigned char *)ATTACK_SID,
                                         3));
}

static void take_early(SSL *ssl)
{
    CALL(SSL_set_max_early_data(ssl, 4096));
    CALL(SSL_set_recv_max_early_data(ssl, 4096));
    CALL(SSL_set_allow_early_data_cb(ssl, early_is_fine, NULL));
}

static void take_key(SSL *ssl)
{
    CALL(SSL_set_psk_server_callback(ssl, hostile_psk_server));
    CALL(SSL_set_psk_client_callback(ssl, hostile_psk_client));
    CALL(SSL_set_psk_find_session_callback(ssl, find_key));
    CALL(SSL_set_psk_use_session_callback(ssl, use_key));
    if (ROW_IS(&app.r, DRIVE, DRIVE_EARLY))
        take_early(ssl);
}

static void take_store(SSL *ssl)
{
    X509_STORE *store = X509_STORE_new();

    assert_non_null(store);
    X509_STORE_add_cert(store, world.foreign_ca.cert);
    X509_STORE_add_cert(store, world.site.cert);
    CALL(SSL_set0_verify_cert_store(ssl, store));
}

static void take_param(X509_VERIFY_PARAM *param)
{
    CALL(X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME));
    CALL(X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY));
}

#define NUMBERS 64 /* more than an SSL has */

static void take_ex_data(SSL *ssl, void *value)
{
    int i;

    app_list("for (i = 0; i < 64; i++) SSL_set_ex_data(ssl, i, value)");
    for (i = 0; i < NUMBERS; i++)
        SSL_set_ex_data(ssl, i, value);
}

static void take_bio(SSL *ssl)
{
    if (app.rbio == NULL)
        return;
    BIO_up_ref(app.rbio);
    BIO_up_ref(app.wbio);
    CALL(SSL_set0_rbio(ssl, app.rbio));
    CALL(SSL_set0_wbio(ssl, app.wbio));
}

/* Return true where libssl sends a certificate. It asks about each of the chain, and keeps a pointer to that. */
static bool goes_through_chain(const SSL *ssl)
{
    OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl);

    return ROW_IS(&app.r, PLACE, AT_SECURITY)
           && (state == TLS_ST_SW_CERT || state == TLS_ST_CW_CERT);
}

static void take_certificate(SSL *ssl)
{
    if (goes_through_chain(ssl))
        return;
    CALL(SSL_certs_clear(ssl));
    CALL(SSL_use_certificate(ssl, world.site.cert));
    CALL(SSL_use_PrivateKey(ssl, world.site.key));
}

static void take_mode(SSL *ssl)
{
    CALL(SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL));
}

static void take_mode_later(SSL *ssl)
{
    CALL(SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_POST_HANDSHAKE, app_accept));
}

static void take_mode_accept(SSL *ssl)
{
    CALL(SSL_set_verify(ssl, SSL_VERIFY_PEER, app_accept));
}

static void take_secret(SSL *ssl)
{
    CALL(SSL_set_session_secret_cb(ssl, tell_secret, NULL));
}

static void take_cert_cb(SSL *ssl)
{
    CALL(SSL_set_cert_cb(ssl, cert_is_fine, NULL));
}

/* Take those of the SSL, and put others over them. */
static void take_param_of(SSL *ssl)
{
    X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();

    assert_non_null(param);
    take_param(SSL_get0_param(ssl));
    CALL(SSL_set1_param(ssl, param));
    X509_VERIFY_PARAM_free(param);
}

static void take_host(SSL *ssl)
{
    CALL(SSL_set1_host(ssl, "somewhere.example"));
}

static void take_ex_data_by_garbage(SSL *ssl)
{
    static char page[16] __attribute__((aligned(16)));

    take_ex_data(ssl, page);
}

static void take_ex_data_away(SSL *ssl)
{
    take_ex_data(ssl, NULL);
}

static void take_shutdown(SSL *ssl)
{
    CALL(SSL_set_shutdown(ssl, 0));
}

/* Return true where libssl has not chosen its certificate. Later, it keeps a pointer to that, among those of the SSL. */
static bool chooses_later(const SSL *ssl)
{
    return SSL_in_before(ssl)
           || (strcmp(SSL_state_string(ssl), "TRCH") == 0
               && (ROW_IS(&app.r, PLACE, AT_HELLO) || ROW_IS(&app.r, PLACE, AT_NAME)
                   || ROW_IS(&app.r, PLACE, AT_MESSAGE)));
}

static void take_ctx(SSL *ssl)
{
    if (chooses_later(ssl))
        CALL(SSL_set_SSL_CTX(ssl, app.first));
}

/* Make it an ordinary site by SNI, as Apache httpd does, and give it the site's parameters. */
static void take_site(SSL *ssl)
{
    take_param_of(ssl);
    take_ctx(ssl);
    take_mode(ssl);
}

static void take_level(SSL *ssl)
{
    CALL(SSL_set_security_level(ssl, 0));
    if (!ROW_IS(&app.r, PLACE, AT_SECURITY)) /* libssl goes through the list */
        CALL(SSL_set_cipher_list(ssl, "aNULL:PSK:ALL"));
}

/* Without an end, a resumed session alone would get through. A governed client resumes none here. */
#define RETRIES 2

/* Ask for another verification. Each asks the security callback about the live leaf, and there this would have no end. */
static void take_retry(SSL *ssl)
{
    if (!ROW_IS(&app.r, PLACE, AT_SECURITY) && app.calls <= RETRIES)
        CALL(SSL_set_retry_verify(ssl));
}

/* Change the result of a verification under way, and all that is known of the chain. */
static void take_result(SSL *ssl)
{
    X509_STORE_CTX *store = app.verifying;

    CALL(SSL_set_verify_result(ssl, X509_V_OK));
    if (store == NULL)
        return;
    CALL(X509_STORE_CTX_set_error(store, X509_V_OK));
    CALL(X509_STORE_CTX_set_cert(store, world.friend.cert));
}

/* Replace the verified chain, at its last certificate. libcrypto goes through it before. */
static void take_chain(SSL *ssl)
{
    X509_STORE_CTX *store = app.verifying;
    STACK_OF(X509) *chain;
    X509 *cert = store == NULL ? NULL : X509_STORE_CTX_get0_cert(store);

    if (cert == NULL || X509_STORE_CTX_get_error_depth(store) != 0)
        return;
    chain = sk_X509_new_null();
    assert_non_null(chain);
    assert_true(X509_up_ref(cert));
    sk_X509_push(chain, cert);
    app_list("chain = the certificate alone");
    CALL(X509_STORE_CTX_set0_verified_chain(store, chain));
}

static void take_other_leaf(SSL *ssl)
{
    app_note_other(ssl);
    app_give_other(ssl, OTHER_LEAF);
}

static void take_other_beside(SSL *ssl)
{
    app_note_other(ssl);
    app_give_other(ssl, OTHER_RSA);
}

static void take_other_stand_in(SSL *ssl)
{
    app_note_other(ssl);
    app_give_other(ssl, OTHER_STAND_IN);
}

/* Return true where libssl keeps no pointer to its choice: before that, or when it waits for the client. */
static bool may_switch(const SSL *ssl)
{
    static const char *const waits[] = {"TWSD", "TRCC", "TRCKE", "TRCV", "TED"};
    const char *state = SSL_state_string(ssl);
    size_t i = 0;

    if (!SSL_is_server(ssl) || !ROW_IS(&app.r, PLACE, AT_BETWEEN))
        return chooses_later(ssl);
    while (i < sizeof(waits) / sizeof(waits[0]) && strcmp(state, waits[i]) != 0)
        i++;
    return i < sizeof(waits) / sizeof(waits[0]) || chooses_later(ssl);
}

static void take_other_ctx(SSL *ssl)
{
    if (!may_switch(ssl))
        return;
    app_note_other(ssl);
    CALL(SSL_set_SSL_CTX(ssl, app.other_ctx));
}

/* Give the leaf to another SSL, which shares the certificates of this one. */
static void take_other_shared(SSL *ssl)
{
    if (app.sharer == NULL)
        app.sharer = CALL(SSL_new(app.first));
    assert_non_null(app.sharer);
    app_note_other(ssl);
    CALL(SSL_copy_session_id(app.sharer, ssl));
    app_give_other(app.sharer, OTHER_LEAF);
}

static void take_current(SSL *ssl)
{
    if (CALL(SSL_set_current_cert(ssl, SSL_CERT_SET_NEXT)) != 1)
        CALL(SSL_set_current_cert(ssl, SSL_CERT_SET_FIRST));
}

static void take_nothing(SSL *ssl)
{
}

static void take_all(SSL *ssl);

/* By the values of the axis. */
static void (*const takers[])(SSL *) = {
    [TAKE_NOTHING] = take_nothing,
    [TAKE_MODE] = take_mode,
    [TAKE_MODE_LATER] = take_mode_later,
    [TAKE_MODE_ACCEPT] = take_mode_accept,
    [TAKE_OPTIONS] = take_options,
    [TAKE_SESSION] = take_session,
    [TAKE_KEY] = take_key,
    [TAKE_SECRET] = take_secret,
    [TAKE_CERTIFICATE] = take_certificate,
    [TAKE_CERT_CB] = take_cert_cb,
    [TAKE_STORE] = take_store,
    [TAKE_PARAM] = take_param_of,
    [TAKE_HOST] = take_host,
    [TAKE_EX_DATA] = take_ex_data_by_garbage,
    [TAKE_EX_DATA_AWAY] = take_ex_data_away,
    [TAKE_SHUTDOWN] = take_shutdown,
    [TAKE_BIO] = take_bio,
    [TAKE_CTX] = take_ctx,
    [TAKE_SITE] = take_site,
    [TAKE_LEVEL] = take_level,
    [TAKE_EARLY] = take_early,
    [TAKE_RETRY] = take_retry,
    [TAKE_RESULT] = take_result,
    [TAKE_CHAIN] = take_chain,
    [TAKE_ALL] = take_all,
    [TAKE_OTHER_LEAF] = take_other_leaf,
    [TAKE_OTHER_BESIDE] = take_other_beside,
    [TAKE_OTHER_STAND_IN] = take_other_stand_in,
    [TAKE_OTHER_CTX] = take_other_ctx,
    [TAKE_OTHER_SHARED] = take_other_shared,
    [TAKE_CURRENT] = take_current,
};

/* Take back what may let a peer in. The rest would only be refused. */
static void take_all(SSL *ssl)
{
    static const enum taking all[] = {TAKE_OPTIONS, TAKE_SESSION, TAKE_KEY,      TAKE_SECRET,
                                      TAKE_CERT_CB, TAKE_STORE,   TAKE_PARAM,    TAKE_LEVEL,
                                      TAKE_EARLY,   TAKE_MODE,    TAKE_SHUTDOWN, TAKE_BIO};
    size_t i;

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        takers[all[i]](ssl);
}

void app_take(SSL *ssl)
{
    takers[app.r.value[AXIS_TAKE]](ssl);
}

void app_revive(SSL *ssl)
{
    take_mode(ssl);
    take_shutdown(ssl);
    take_bio(ssl);
}

/* Set them on a context. Other things are of an SSL only. */
void app_take_on_ctx(SSL_CTX *ctx)
{
    enum taking taking = app.r.value[AXIS_TAKE];

    app_list("/* on the context */");
    if (taking == TAKE_MODE || taking == TAKE_ALL)
        CALL(SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL));
    if (taking == TAKE_MODE_LATER)
        CALL(SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_POST_HANDSHAKE, app_accept));
    if (taking == TAKE_MODE_ACCEPT)
        CALL(SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, app_accept));
    if (taking == TAKE_OPTIONS || taking == TAKE_ALL) {
        CALL(SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION));
        CALL(SSL_CTX_set_options(ctx, SSL_OP_ALLOW_CLIENT_RENEGOTIATION | SSL_OP_NO_ANTI_REPLAY));
        CALL(SSL_CTX_set_num_tickets(ctx, 2));
    }
    if (taking == TAKE_KEY || taking == TAKE_ALL) {
        CALL(SSL_CTX_set_psk_server_callback(ctx, hostile_psk_server));
        CALL(SSL_CTX_set_psk_client_callback(ctx, hostile_psk_client));
        CALL(SSL_CTX_set_psk_find_session_callback(ctx, find_key));
        CALL(SSL_CTX_set_psk_use_session_callback(ctx, use_key));
    }
    if (taking == TAKE_STORE || taking == TAKE_ALL)
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), world.foreign_ca.cert);
    if (taking == TAKE_PARAM || taking == TAKE_ALL)
        take_param(SSL_CTX_get0_param(ctx));
    if (taking == TAKE_HOST)
        CALL(X509_VERIFY_PARAM_set1_host(SSL_CTX_get0_param(ctx), "somewhere.example", 0));
    if (taking == TAKE_LEVEL || taking == TAKE_ALL)
        CALL(SSL_CTX_set_security_level(ctx, 0));
    if (taking == TAKE_EARLY || taking == TAKE_ALL) {
        CALL(SSL_CTX_set_max_early_data(ctx, 4096));
        CALL(SSL_CTX_set_recv_max_early_data(ctx, 4096));
    }
    if (taking == TAKE_CERT_CB)
        CALL(SSL_CTX_set_cert_cb(ctx, cert_is_fine, NULL));
    if (taking == TAKE_OTHER_LEAF)
        app_give_other_to_ctx(ctx, OTHER_LEAF);
    if (taking == TAKE_OTHER_BESIDE)
        app_give_other_to_ctx(ctx, OTHER_RSA);
    if (taking == TAKE_OTHER_STAND_IN)
        app_give_other_to_ctx(ctx, OTHER_STAND_IN);
    if (taking == TAKE_SHUTDOWN)
        CALL(SSL_CTX_set_quiet_shutdown(ctx, 1));
}
