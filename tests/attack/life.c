/* SPDX-License-Identifier: Apache-2.0 */
#include "life.h"

#include "unit.h"

#include "tls.h"

/* Make a peer's SSL, and keep only that. */
static SSL *make_peer(const row *r, enum peer kind)
{
    SSL_CTX *ctx = peer_ctx(r, kind);
    SSL *peer;

    peer_enter();
    peer = SSL_new(ctx);
    SSL_CTX_free(ctx);
    app_enter();
    assert_non_null(peer);
    if (ROW_IS(r, PROTOCOL, DTLS_1_2))
        peer_set_mtu(peer);
    if (ROW_IS(r, ROLE, ROLE_SERVER)) {
        SSL_set_tlsext_host_name(peer, "somewhere.example");
        SSL_set_connect_state(peer);
    } else {
        SSL_set_accept_state(peer);
    }
    return peer;
}

static void free_peer(SSL *peer)
{
    peer_enter();
    SSL_free(peer);
    app_enter();
}

/* Return the context with which a connection begins. */
static SSL_CTX *first_ctx(const row *r)
{
    bool switches = ROW_IS(r, GIVEN, GIVEN_BY_SWITCH) || ROW_IS(r, GIVEN, GIVEN_BY_LATE_SWITCH);

    return switches && ROW_IS(r, ROLE, ROLE_SERVER) ? app.first : app.ctx;
}

static talk_outcome meet(SSL *peer)
{
    app_begin_handshake();
    app_list("/* a handshake */");
    talk_join(peer);
    return talk(peer);
}

/* End a connection as it should be, so that its session stays usable. */
static void close_both(SSL *peer)
{
    int i;

    for (i = 0; i < 2; i++) {
        if (SSL_is_init_finished(app.ssl))
            SSL_shutdown(app.ssl);
        peer_enter();
        if (SSL_is_init_finished(peer))
            SSL_shutdown(peer);
        app_enter();
    }
    talk_clear();
}

/* Make an ordinary peer: a client without a certificate, or a self-signed server. */
static SSL *make_ordinary_peer(const row *r)
{
    return make_peer(r, ROW_IS(r, ROLE, ROLE_SERVER) ? PEER_NONE : PEER_SELF_SIGNED);
}

static talk_outcome meet_last(const row *r)
{
    SSL *peer = make_peer(r, r->value[AXIS_PEER]);
    talk_outcome outcome = meet(peer);

    free_peer(peer);
    return outcome;
}

/* ---- an SSL that is used again ---- */

static void prepare_again(const row *r)
{
    if (ROW_IS(r, LIFE, LIFE_REUSED)) {
        if (ROW_IS(r, ROLE, ROLE_SERVER))
            CALL(SSL_set_accept_state(app.ssl));
        else
            CALL(SSL_set_connect_state(app.ssl));
    } else {
        CALL(SSL_clear(app.ssl));
    }
    if (ROW_IS(r, PROTOCOL, DTLS_1_2))
        peer_set_mtu(app.ssl);
    app.is_used_again = true;
    app_begin_handshake();
    app_at(AT_SSL, app.ssl);
}

static talk_outcome live_again(const row *r)
{
    SSL *peer = make_peer(r, PEER_ALLOWED);

    app_make_ssl(first_ctx(r));
    meet(peer);
    close_both(peer);
    free_peer(peer);
    prepare_again(r);
    return meet_last(r);
}

static talk_outcome live_again_as_connect(const row *r)
{
    SSL *peer = make_ordinary_peer(r);

    app_make_ssl(app.first);
    meet(peer);
    close_both(peer);
    free_peer(peer);
    prepare_again(r);
    if (app_is_given_on_ssl(r) && app.own.cert != NULL)
        app_give(app.ssl);
    else
        app_switch();
    return meet_last(r);
}

static talk_outcome live_as_copy(const row *r)
{
    SSL *first;

    app_make_ssl(first_ctx(r));
    first = app.ssl;
    app.ssl = CALL(SSL_dup(first));
    assert_non_null(app.ssl);
    SSL_free(first);
    app_ask_for_name(app.ssl);
    if (ROW_IS(r, PROTOCOL, DTLS_1_2))
        peer_set_mtu(app.ssl);
    return meet_last(r);
}

/* ---- a second handshake of a connection ---- */

static int allow_renegotiation(SSL *ssl)
{
    CALL(SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION));
    CALL(SSL_set_options(ssl, SSL_OP_ALLOW_CLIENT_RENEGOTIATION));
    return 1;
}

static int renegotiate(SSL *ssl)
{
    SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
    return SSL_version(ssl) == TLS1_3_VERSION ? 1 : CALL(SSL_renegotiate(ssl));
}

static int renegotiate_as_app(SSL *ssl)
{
    allow_renegotiation(ssl);
    return renegotiate(ssl);
}

static void change_certificate(SSL *peer, const minted *own)
{
    SSL_certs_clear(peer);
    if (own != NULL) {
        SSL_use_certificate(peer, own->cert);
        SSL_use_PrivateKey(peer, own->key);
    }
}

static talk_outcome live_twice(const row *r)
{
    bool was_site = ROW_IS(r, LIFE, LIFE_RENEGOTIATED_SITE);
    /* The SSL of an allowed peer has no raw keys. */
    int second = ROW_IS(r, PEER, PEER_RAW_KEY) ? PEER_SELF_SIGNED : r->value[AXIS_PEER];
    SSL *peer = was_site ? make_ordinary_peer(r) : make_peer(r, PEER_ALLOWED);
    talk_outcome outcome;

    app_make_ssl(was_site ? app.first : first_ctx(r));
    meet(peer);
    change_certificate(peer, peer_certificate(r, second));
    if (was_site)
        app_switch();
    app_begin_handshake();
    if (ROW_IS(r, LIFE, LIFE_RENEGOTIATED))
        outcome = talk_again(peer, allow_renegotiation, renegotiate);
    else
        outcome = talk_again(peer, renegotiate_as_app, NULL);
    free_peer(peer);
    return outcome;
}

static int ask_after_the_handshake(SSL *ssl)
{
    return SSL_is_server(ssl) ? CALL(SSL_verify_client_post_handshake(ssl)) : 1;
}

static int nothing_first(SSL *ssl)
{
    return 1;
}

static talk_outcome live_with_a_late_question(const row *r)
{
    SSL *peer = make_peer(r, r->value[AXIS_PEER]);
    talk_outcome outcome, later;

    app_make_ssl(first_ctx(r));
    outcome = meet(peer);
    if (ROW_IS(r, ROLE, ROLE_SERVER))
        later = talk_again(peer, ask_after_the_handshake, NULL);
    else
        later = talk_again(peer, nothing_first, ask_after_the_handshake);
    outcome.app_got |= later.app_got;
    outcome.peer_got |= later.peer_got;
    free_peer(peer);
    return outcome;
}

/* ---- sessions ---- */

static int store_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION_free(app.stored);
    app.stored = session;
    return 1;
}

/* Let an ordinary client and server in another process talk. Return the client's session. */
static SSL_SESSION *session_from_elsewhere(const row *r)
{
    SSL_CTX *server_ctx = peer_elsewhere(r->value[AXIS_PROTOCOL], &world.site);
    SSL_CTX *client_ctx = peer_elsewhere(r->value[AXIS_PROTOCOL], NULL);
    SSL *client, *server;
    SSL_SESSION *session;

    if (ROW_IS(r, LIFE, LIFE_CACHE)) {
        SSL_CTX_set_options(server_ctx, SSL_OP_NO_TICKET);
        SSL_CTX_sess_set_new_cb(server_ctx, store_session);
    }
    SSL_CTX_set_max_early_data(server_ctx, 4096);
    peer_enter();
    tls_pair(client_ctx, server_ctx, &client, &server);
    if (ROW_IS(r, PROTOCOL, DTLS_1_2)) {
        peer_set_mtu(client);
        peer_set_mtu(server);
    }
    tls_talk(client, server);
    session = SSL_get1_session(client);
    tls_close(client, server);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    app_enter();
    return session;
}

/* Return the session of an earlier connection of the application. */
static SSL_SESSION *session_from_here(const row *r, SSL_CTX *ctx, SSL *peer)
{
    SSL_SESSION *session;

    app_make_ssl(ctx);
    meet(peer);
    session = SSL_get1_session(ROW_IS(r, ROLE, ROLE_SERVER) ? peer : app.ssl);
    close_both(peer);
    free_peer(peer);
    SSL_free(app.ssl);
    app.ssl = NULL;
    return session;
}

static talk_outcome live_on_a_session(const row *r)
{
    SSL_SESSION *session;
    talk_outcome outcome;
    SSL *peer;

    if (ROW_IS(r, LIFE, LIFE_RESUMED))
        session = session_from_here(r, first_ctx(r), make_peer(r, PEER_ALLOWED));
    else if (ROW_IS(r, LIFE, LIFE_RESUMED_SITE))
        session = session_from_here(r, app.first, make_ordinary_peer(r));
    else
        session = session_from_elsewhere(r);
    app_make_ssl(first_ctx(r));
    peer = make_peer(r, r->value[AXIS_PEER]);
    if (session != NULL)
        SSL_set_session(ROW_IS(r, ROLE, ROLE_SERVER) ? peer : app.ssl, session);
    app_list("/* with a session of before, on the client's side */");

    outcome = meet(peer);
    SSL_SESSION_free(session);
    free_peer(peer);
    return outcome;
}

/* ---- a server that listens without a state ---- */

static int make_cookie(SSL *ssl, unsigned char *cookie, unsigned int *len)
{
    app_at(AT_COOKIE, ssl);
    memset(cookie, 'c', *len = 16);
    return 1;
}

static int check_cookie(SSL *ssl, const unsigned char *cookie, unsigned int len)
{
    app_at(AT_COOKIE, ssl);
    return len == 16;
}

static int make_stateless_cookie(SSL *ssl, unsigned char *cookie, size_t *len)
{
    app_at(AT_COOKIE, ssl);
    memset(cookie, 'c', *len = 16);
    return 1;
}

static int check_stateless_cookie(SSL *ssl, const unsigned char *cookie, size_t len)
{
    app_at(AT_COOKIE, ssl);
    return len == 16;
}

#define LISTENS 4 /* a first ClientHello, and a second one with the cookie */

static talk_outcome live_by_listening(const row *r)
{
    SSL *peer = make_peer(r, r->value[AXIS_PEER]);
    BIO_ADDR *address = BIO_ADDR_new();
    talk_outcome outcome;
    int i, heard = 0;

    app_make_ssl(first_ctx(r));
    if (ROW_IS(r, ROLE, ROLE_SERVER) && !ROW_IS(r, PROTOCOL, TLS_1_2)) {
        SSL_CTX *ctx = SSL_get_SSL_CTX(app.ssl);

        SSL_CTX_set_cookie_generate_cb(ctx, make_cookie);
        SSL_CTX_set_cookie_verify_cb(ctx, check_cookie);
        SSL_CTX_set_stateless_cookie_generate_cb(ctx, make_stateless_cookie);
        SSL_CTX_set_stateless_cookie_verify_cb(ctx, check_stateless_cookie);
        talk_join(peer);
        for (i = 0; i < LISTENS && heard <= 0; i++) {
            peer_enter();
            SSL_do_handshake(peer);
            app_enter();
            heard = ROW_IS(r, PROTOCOL, DTLS_1_2) ? CALL(DTLSv1_listen(app.ssl, address))
                                                  : CALL(SSL_stateless(app.ssl));
            talk_clear();
        }
        outcome = talk(peer);
    } else {
        outcome = meet(peer);
    }
    BIO_ADDR_free(address);
    free_peer(peer);
    return outcome;
}

talk_outcome life_run(const row *r)
{
    switch ((enum life)r->value[AXIS_LIFE]) {
    case LIFE_CLEARED:
    case LIFE_REUSED:
        return live_again(r);
    case LIFE_CLEARED_SITE:
        return live_again_as_connect(r);
    case LIFE_COPIED:
        return live_as_copy(r);
    case LIFE_RENEGOTIATED:
    case LIFE_RENEGOTIATING:
    case LIFE_RENEGOTIATED_SITE:
        return live_twice(r);
    case LIFE_POST_HANDSHAKE:
        return live_with_a_late_question(r);
    case LIFE_RESUMED:
    case LIFE_RESUMED_SITE:
    case LIFE_CACHE:
    case LIFE_TICKET_KEYS:
        return live_on_a_session(r);
    case LIFE_LISTENING:
        return live_by_listening(r);
    case LIFE_FRESH:
    case LIFE_ASYNC:
        break;
    }
    app_make_ssl(first_ctx(r));
    return meet_last(r);
}
