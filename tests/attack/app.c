/* SPDX-License-Identifier: Apache-2.0 */
#include "app.h"

#include "unit.h"

#include <stdio.h>

#include <openssl/err.h>
#include <openssl/store.h>

#include "hostile.h"
#include "tls.h"

application app;
bool app_is_listing, app_is_plain;

void app_list(const char *call)
{
    if (app_is_listing)
        fprintf(stderr, "    %s;\n", call);
}

void app_enter(void)
{
    if (app_is_plain)
        peer_enter();
    else
        peer_leave();
}

int app_accept(int ok, X509_STORE_CTX *store)
{
    X509_STORE_CTX_set_error(store, X509_V_OK);
    app.verifying = store;
    app_at(AT_VERIFY, X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    app.verifying = NULL;
    return 1;
}

int app_accept_all(X509_STORE_CTX *store, void *arg)
{
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

bool app_waits(void)
{
    return ROW_IS(&app.r, DRIVE, DRIVE_WAIT) && app.waits++ % 2 == 0;
}

/* ---- its certificate ---- */

static minted load_by_uri(void)
{
    OSSL_STORE_CTX *store =
        OSSL_STORE_open_ex("consul:leaf/web", NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    minted own = {0};

    assert_non_null(store);
    while (!OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        assert_non_null(info);
        if (OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
            own.key = OSSL_STORE_INFO_get1_PKEY(info);
        else if (own.cert == NULL)
            own.cert = OSSL_STORE_INFO_get1_CERT(info);
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    return own;
}

static minted make_own(const row *r)
{
    enum governs governs = r->value[AXIS_GOVERNED];
    minted own = {0};

    if (app_is_plain && governs != BY_NOTHING)
        governs = BY_LEAF;
    switch (governs) {
    case BY_URI:
        return load_by_uri();
    case BY_STAND_IN:
        return mint_stand_in("consul:leaf/web");
    case BY_LEAF:
        own = world.web;
        break;
    case BY_SERVICE:
    case BY_REQUIREMENT:
    case BY_EMPTY_SERVICE:
    case BY_DEMAND_ALONE:
    case BY_DEAD_UPSTREAM:
    case BY_TWO_SERVICES:
    case BY_UNLOADED:
    case BY_NOTHING:
        own = world.site;
        break;
    }
    X509_up_ref(own.cert);
    EVP_PKEY_up_ref(own.key);
    return own;
}

int app_give(SSL *ssl)
{
    if (CALL(SSL_use_certificate(ssl, app.own.cert)) != 1)
        return 0;
    if (ROW_IS(&app.r, BETWEEN, BETWEEN_CHAIN))
        CALL(SSL_add1_chain_cert(ssl, world.ca.cert));
    if (ROW_IS(&app.r, BETWEEN, BETWEEN_LIST))
        sk_SSL_CIPHER_free(CALL(SSL_get1_supported_ciphers(ssl)));
    return CALL(SSL_use_PrivateKey(ssl, app.own.key)) == 1;
}

static void choose_other(const row *r)
{
    bool is_ordinary = ROW_IS(r, GOVERNED, BY_NOTHING);

    app.other[OTHER_LEAF] = is_ordinary ? &other_site : &other_leaf;
    app.other[OTHER_RSA] = is_ordinary ? &world.site_rsa : &other_rsa;
    app.other[OTHER_STAND_IN] =
        is_ordinary || app_is_plain ? app.other[OTHER_LEAF] : &other_stand_in;
}

void app_give_other(SSL *ssl, enum other which)
{
    CALL(SSL_use_certificate(ssl, app.other[which]->cert));
    CALL(SSL_use_PrivateKey(ssl, app.other[which]->key));
}

void app_give_other_to_ctx(SSL_CTX *ctx, enum other which)
{
    CALL(SSL_CTX_use_certificate(ctx, app.other[which]->cert));
    CALL(SSL_CTX_use_PrivateKey(ctx, app.other[which]->key));
    ERR_clear_error(); /* with wrong settings no context takes one */
}

enum shown app_shown(const X509 *cert)
{
    if (cert == NULL)
        return SHOWN_NONE;
    if (X509_cmp(cert, app.other[OTHER_LEAF]->cert) == 0
        || X509_cmp(cert, app.other[OTHER_RSA]->cert) == 0)
        return SHOWN_OTHER;
    if (X509_cmp(cert, world.web.cert) == 0)
        return SHOWN_OWN;
    return app.has_other_in_time ? SHOWN_BESIDE_OTHER : SHOWN_ORDINARY;
}

/* Return true before a server has shown a certificate in this handshake. */
static bool shows_later(const SSL *ssl)
{
    static const char *const before[] = {"PINIT", "TRCH", "DWCHV", "TWSH"};
    static const char *const before_of_1_3[] = {"TWCCS", "TWEE", "TWCR"};
    const char *state = SSL_state_string(ssl);
    bool later = strcmp(state, "TWSC") == 0 && ROW_IS(&app.r, PLACE, AT_OWN_CHAIN);
    size_t i;

    for (i = 0; i < sizeof(before) / sizeof(before[0]); i++)
        later |= strcmp(state, before[i]) == 0;
    for (i = 0; SSL_version(ssl) == TLS1_3_VERSION && i < 3; i++)
        later |= strcmp(state, before_of_1_3[i]) == 0;
    return later;
}

void app_note_other(const SSL *ssl)
{
    if (app.has_other)
        return;
    app.has_other = true;
    app.has_other_in_time = shows_later(ssl);
}

void app_begin_handshake(void)
{
    app.calls = 0;
    app.has_other_in_time = app.has_other;
}

static int give_in_cert_cb(SSL *ssl, void *arg)
{
    app_at(AT_CERT_CB, ssl);
    return app_waits() ? -1 : app_give(ssl);
}

static int switch_in_cert_cb(SSL *ssl, void *arg)
{
    app_at(AT_CERT_CB, ssl);
    return app_waits() ? -1 : CALL(SSL_set_SSL_CTX(ssl, app.ctx)) != NULL;
}

static int give_on_request(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
    app_at(AT_CLIENT_CERT, ssl);
    if (app_waits())
        return -1;
    if (app.own.cert == NULL)
        return 0;
    X509_up_ref(app.own.cert);
    EVP_PKEY_up_ref(app.own.key);
    *cert = app.own.cert;
    *key = app.own.key;
    app_list("*cert = own.cert; return 1");
    return 1;
}

static bool has_one_from_the_start(const row *r)
{
    return ROW_IS(r, GIVEN, GIVEN_ON_CTX) || ROW_IS(r, GIVEN, GIVEN_BESIDE)
           || ROW_IS(r, GIVEN, GIVEN_WITH_OTHER);
}

/* Give a certificate to a context. With wrong settings no context takes one. */
static void give_to(SSL_CTX *ctx, const minted *own)
{
    enum governs governs = app.r.value[AXIS_GOVERNED];

    if (governs < BY_EMPTY_SERVICE || governs > BY_TWO_SERVICES) {
        tls_use(ctx, own);
        return;
    }
    SSL_CTX_use_certificate(ctx, own->cert);
    SSL_CTX_use_PrivateKey(ctx, own->key);
    ERR_clear_error();
}

static void set_given(SSL_CTX *ctx, const row *r)
{
    if (ROW_IS(r, GIVEN, GIVEN_BESIDE))
        CALL(give_to(ctx, &world.site_rsa));
    if (ROW_IS(r, GIVEN, GIVEN_WITH_OTHER))
        CALL(give_to(ctx, app.other[OTHER_RSA]));
    if (has_one_from_the_start(r) && app.own.cert != NULL)
        CALL(give_to(ctx, &app.own));
    if (ROW_IS(r, GIVEN, GIVEN_IN_CERT_CB))
        CALL(SSL_CTX_set_cert_cb(ctx, give_in_cert_cb, NULL));
    if (ROW_IS(r, GIVEN, GIVEN_BY_LATE_SWITCH))
        CALL(SSL_CTX_set_cert_cb(ctx, switch_in_cert_cb, NULL));
    if (ROW_IS(r, GIVEN, GIVEN_ON_REQUEST) && ROW_IS(r, ROLE, ROLE_CLIENT))
        CALL(SSL_CTX_set_client_cert_cb(ctx, give_on_request));
}

/* ---- its contexts ---- */

static void set_mode(SSL_CTX *ctx, const row *r)
{
    static const int modes[] = {SSL_VERIFY_NONE,
                                SSL_VERIFY_PEER,
                                SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                                SSL_VERIFY_PEER | SSL_VERIFY_POST_HANDSHAKE,
                                SSL_VERIFY_PEER,
                                SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE};
    int mode = modes[r->value[AXIS_MODE]];
    bool accepts =
        ROW_IS(r, MODE, MODE_ACCEPT) || ROW_IS(r, PLACE, AT_VERIFY) || ROW_IS(r, MODE, MODE_ONCE);

    CALL(SSL_CTX_set_verify(ctx, mode, accepts ? app_accept : NULL));
}

static void set_ciphers(SSL_CTX *ctx, const row *r)
{
    if (ROW_IS(r, CIPHER, CIPHERS_ALL))
        assert_true(CALL(SSL_CTX_set_cipher_list(ctx, "aNULL:PSK:ALL:@SECLEVEL=0")));
    else if (ROW_IS(r, CIPHER, CIPHERS_DHE))
        assert_true(CALL(SSL_CTX_set_cipher_list(ctx, "DHE:ECDHE")));
    else if (ROW_IS(r, CIPHER, CIPHERS_RSA))
        assert_true(CALL(SSL_CTX_set_cipher_list(ctx, "kRSA:ECDHE:DHE")));
    if (!ROW_IS(r, CIPHER, CIPHERS_USUAL))
        CALL(SSL_CTX_set_dh_auto(ctx, 1));
}

/* Set what an application sets that resumes sessions. By itself none of it lets a peer in. */
static void set_sessions(SSL_CTX *ctx, const row *r)
{
    if (!ROW_IS(r, LIFE, LIFE_FRESH)) {
        CALL(SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_BOTH));
        CALL(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)ATTACK_SID, 3));
    }
    if (ROW_IS(r, LIFE, LIFE_TICKET_KEYS) || ROW_IS(r, LIFE, LIFE_RESUMED_SITE))
        peer_share_tickets(ctx);
    if (ROW_IS(r, PEER, PEER_KEY)) {
        CALL(SSL_CTX_set_psk_server_callback(ctx, hostile_psk_server));
        CALL(SSL_CTX_set_psk_client_callback(ctx, hostile_psk_client));
    }
}

static SSL_CTX *make_ctx(const row *r)
{
    SSL_CTX *ctx = SSL_CTX_new(ROW_IS(r, PROTOCOL, DTLS_1_2) ? DTLS_method() : TLS_method());

    app_list("ctx = SSL_CTX_new(TLS_method())");
    assert_non_null(ctx);
    peer_set_version(ctx, r->value[AXIS_PROTOCOL]);
    if ((app_is_plain && !ROW_IS(r, GOVERNED, BY_NOTHING)) || ROW_IS(r, PEER, PEER_ODD))
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), world.ca.cert);
    if (ROW_IS(r, PEER, PEER_RAW_KEY))
        peer_accept_raw_keys(ctx, ROW_IS(r, ROLE, ROLE_SERVER));
    set_mode(ctx, r);
    set_ciphers(ctx, r);
    set_sessions(ctx, r);
    app_displace_on_ctx(ctx);
    app_set_place(ctx);
    if (ROW_IS(r, PLACE, AT_CTX))
        app_take_on_ctx(ctx);
    return ctx;
}

void app_make(const row *r)
{
    app = (application){.r = *r};
    choose_other(r);
    app.own = make_own(r);
    if (ROW_IS(r, ROLE, ROLE_CLIENT) && r->value[AXIS_GOVERNED] >= BY_SERVICE)
        minted_free(&app.own);
    app.first = make_ctx(r);
    if (app.own.cert != NULL && ROW_IS(r, ROLE, ROLE_SERVER))
        CALL(give_to(app.first, &world.site));
    app_list("/* the other context */");
    app.ctx = make_ctx(r);
    set_given(app.ctx, r);
    if (ROW_IS(r, GIVEN, GIVEN_BY_LATE_SWITCH)) /* begins with the ordinary one, as a switch does */
        CALL(SSL_CTX_set_cert_cb(app.first, switch_in_cert_cb, NULL));
    if (ROW_IS(r, GIVEN, GIVEN_BY_LATE_SWITCH) || ROW_IS(r, GIVEN, GIVEN_BY_SWITCH))
        if (app.own.cert != NULL)
            CALL(give_to(app.ctx, &app.own));
    if (ROW_IS(r, TAKE, TAKE_OTHER_CTX)) {
        app.other_ctx = make_ctx(r);
        app_give_other_to_ctx(app.other_ctx, OTHER_LEAF);
    }
}

void app_free(void)
{
    SSL_free(app.ssl);
    SSL_free(app.sharer);
    app_look_no_more();
    SSL_SESSION_free(app.stored);
    SSL_CTX_free(app.ctx);
    SSL_CTX_free(app.first);
    SSL_CTX_free(app.other_ctx);
    minted_free(&app.own);
}

/* ---- its SSL ---- */

void app_ask_for_name(SSL *ssl)
{
    static const char *const names[] = {NULL, "friend.service.consul", "db.service.consul",
                                        "somewhere.example"};
    const char *name = names[app.r.value[AXIS_NAME]];

    if (name != NULL && ROW_IS(&app.r, ROLE, ROLE_CLIENT))
        CALL(SSL_set_tlsext_host_name(ssl, name));
}

bool app_is_given_on_ssl(const row *r)
{
    enum given given = r->value[AXIS_GIVEN];

    return given == GIVEN_ON_SSL
           || (ROW_IS(r, ROLE, ROLE_SERVER)
                   ? given == GIVEN_ON_REQUEST
                   : given >= GIVEN_IN_HELLO && given <= GIVEN_BY_LATE_SWITCH);
}

/* Return true where each of its SSLs has the other leaf, with an ordinary certificate; or until a callback gives it that. */
static bool has_other_at_first(const row *r)
{
    bool beside = ROW_IS(r, TAKE, TAKE_OTHER_BESIDE) && !ROW_IS(r, GIVEN, GIVEN_BESIDE);
    bool before = ROW_IS(r, TAKE, TAKE_OTHER_LEAF)
                  && (ROW_IS(r, GIVEN, GIVEN_IN_HELLO) || ROW_IS(r, GIVEN, GIVEN_BY_NAME)
                      || ROW_IS(r, GIVEN, GIVEN_IN_CERT_CB));

    return (ROW_IS(r, PLACE, AT_CTX) && (beside || before))
           || (ROW_IS(r, GIVEN, GIVEN_WITH_OTHER) && r->value[AXIS_GOVERNED] >= BY_SERVICE);
}

void app_switch(void)
{
    CALL(SSL_set_SSL_CTX(app.ssl, app.ctx));
    app.has_other = has_other_at_first(&app.r);
}

void app_make_ssl(SSL_CTX *ctx)
{
    app.has_other = app.has_other_in_time = has_other_at_first(&app.r);
    app.ssl = SSL_new(ctx);
    app.rbio = app.wbio = NULL; /* an earlier SSL took its own along */
    app_list("ssl = SSL_new(ctx)");
    assert_non_null(app.ssl);
    if (ROW_IS(&app.r, PROTOCOL, DTLS_1_2))
        peer_set_mtu(app.ssl);
    app_look_before(app.ssl); /* it is not known to be client or server */
    if (ROW_IS(&app.r, ROLE, ROLE_CLIENT)) {
        app_ask_for_name(app.ssl);
        CALL(SSL_set_connect_state(app.ssl));
    } else {
        CALL(SSL_set_accept_state(app.ssl));
    }
    app_displace_on_ssl(app.ssl);
    if (app_is_given_on_ssl(&app.r) && app.own.cert != NULL)
        app_give(app.ssl);
    if (ROW_IS(&app.r, LIFE, LIFE_ASYNC))
        CALL(SSL_set_mode(app.ssl, SSL_MODE_ASYNC));
    if (ROW_IS(&app.r, LIFE, LIFE_POST_HANDSHAKE) && ROW_IS(&app.r, ROLE, ROLE_CLIENT))
        CALL(SSL_set_post_handshake_auth(app.ssl, 1));
    app_at(AT_SSL, app.ssl);
}

/* ---- its place ---- */

/* Return true where this call of the place is one in which the row acts. */
static bool is_the_call(void)
{
    switch ((enum call)app.r.value[AXIS_CALL]) {
    case CALL_1:
        return app.calls == 1;
    case CALL_2:
        return app.calls == 2;
    case CALL_3:
        return app.calls == 3;
    case CALL_FROM_4:
        return app.calls >= 4;
    case CALL_FROM_8:
        return app.calls >= 8;
    case CALL_EACH:
        break;
    }
    return true;
}

void app_at(enum place place, SSL *ssl)
{
    if (!ROW_IS(&app.r, PLACE, place) || ssl == NULL || ssl != app.ssl)
        return;
    app.calls++;
    app.all_calls++;
    if (!is_the_call())
        return;
    app_displace_inside(ssl);
    app_take(ssl);
    app_look_inside(ssl);
}
