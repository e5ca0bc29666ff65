/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last stop: how a handshake ends. No peer passes it that was not authorized in this handshake,
 * whichever callbacks the application has displaced.
 *
 * Every handshake passes the info callback of its SSL, before each step and at its end. The end comes
 * before the first data. Our callback is put there by the first turn of a handshake that comes to us. Each
 * later turn puts it back. It calls the application's own.
 */
#include "tls/govern.h"

#include "endpoint/asking.h"
#include "endpoint/certificates.h"
#include "endpoint/handshake.h"
#include "endpoint/info.h"
#include "endpoint/quic.h"
#include "endpoint/report.h"
#include "endpoint/rule.h"
#include "endpoint/stop.h"
#include "tls/guard.h"
#include "tls/present.h"
#include "tls/stop.h"

#include <errno.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/rand.h>

/* SSL_state_string(3) */
#define FAILED "SSLERR"
#define SENT_CLIENT_KEY "TWCKE"
#define READ_CLIENT_KEY "TRCKE"
#define READ_SERVER_HELLO "TRSH"

bool prov_tls_is_in_state(const SSL *ssl, const char *name)
{
    return strcmp(SSL_state_string(ssl), name) == 0;
}

bool prov_tls_is_governed(const endpoint *e)
{
    return e != NULL && endpoint_rule(e) == ENDPOINT_GOVERNED;
}

/* ---- how a governed connection is set up ---- */

/* Set options, but not on QUIC: its SSL has a lock, which libssl holds. None of these matters there. */
static void set_options(SSL *ssl, uint64_t options)
{
    if (!endpoint_is_quic(ssl))
        SSL_set_options(ssl, options);
}

/* Close all other ways by which a peer could do without a certificate, or without verification. */
static void close_other_ways(SSL *ssl)
{
    set_options(ssl,
                SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | PROV_NO_TX_CERTIFICATE_COMPRESSION);
    SSL_set_max_early_data(ssl, 0); /* it is skipped then, as RFC 8446, 4.2.10, has it */
    SSL_set_psk_server_callback(ssl, NULL);
    SSL_set_psk_client_callback(ssl, NULL);
    SSL_set_psk_find_session_callback(ssl, NULL);
    SSL_set_psk_use_session_callback(ssl, NULL);
    SSL_set_session_secret_cb(ssl, NULL, NULL);
}

/*
 * Have a server of TLS 1.3 or QUIC write a ticket at the end, unless its client is authorized. libssl asks us about the ticket
 * (hooks.c), and our no ends the handshake. On QUIC a client's data comes in the same step, before any other stop. An
 * authorized client gets no ticket.
 */
static void end_by_ticket(const endpoint *e, SSL *ssl)
{
    bool is_admitted = endpoint_peer(e) == ENDPOINT_PEER_AUTHORIZED && !endpoint_is_stopped(e);

    SSL_set_num_tickets(ssl, is_admitted ? 0 : 1);
}

/*
 * Name no CA in the request for a certificate. The application may have configured CAs of its own. Some clients send
 * no certificate of another CA, and Consul's CA is another one.
 */
static void name_no_authorities(SSL *ssl)
{
    if (sk_X509_NAME_num(SSL_get_client_CA_list(ssl)) > 0)
        SSL_set_client_CA_list(ssl, sk_X509_NAME_new_null());
    if (sk_X509_NAME_num(SSL_get0_CA_list(ssl)) > 0)
        SSL_set0_CA_list(ssl, sk_X509_NAME_new_null());
}

/* Keep earlier sessions from standing in for this verification, once a handshake. */
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

/* Have a client write no early data. The session that its ClientHello offers cannot be forgotten any more. */
static void forbid_early_data(const SSL *ssl)
{
    SSL_SESSION *session = SSL_get_session(ssl);

    if (session != NULL && SSL_SESSION_get_max_early_data(session) != 0)
        SSL_SESSION_set_max_early_data(session, 0);
}

/* Keep the keys of a server out of the kernel. With TLS 1.3, SSL_sendfile would write by them before its client is verified. */
static void keep_keys(SSL *ssl)
{
    if (SSL_is_server(ssl) && !endpoint_is_quic(ssl))
        SSL_clear_options(ssl, SSL_OP_ENABLE_KTLS);
}

/* Set up a governed connection for its handshake, or stop it where it is too late. */
static void enforce(endpoint *e, SSL *ssl)
{
    /* Exactly this mode: post-handshake authentication, say, would put the question off. */
    int mode = SSL_is_server(ssl) ? PROV_SERVER_VERIFY_MODE : PROV_CLIENT_VERIFY_MODE;

    if (SSL_get_verify_mode(ssl) != mode)
        endpoint_set_lenient(e, SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE);
    SSL_set_verify(ssl, mode, NULL);
    end_by_ticket(e, ssl);
    keep_keys(ssl);
    if (endpoint_presents_live_leaf(e))
        SSL_set_cert_cb(
            ssl, SSL_is_server(ssl) ? prov_tls_on_certificate : prov_tls_on_client_certificate,
            NULL);
    if (!endpoint_is_prepared(e)) {
        close_other_ways(ssl);
        if (SSL_is_server(ssl))
            name_no_authorities(ssl);
        if (forget_sessions(ssl))
            endpoint_set_prepared(e);
        else
            prov_tls_stop(ssl, "the connection could not be set up for Consul Connect");
    }
    if (!SSL_is_server(ssl) && SSL_get_state(ssl) != TLS_ST_BEFORE) {
        forbid_early_data(ssl);
        endpoint_ask_for_roots_ahead(e);
    }
    if (SSL_session_reused(ssl))
        prov_tls_stop(ssl, "a resumed session or a pre-shared key is no proof of who the peer is");
    if (endpoint_peer(e) == ENDPOINT_PEER_LEFT_ALONE)
        prov_tls_stop(ssl, "the Connect leaf came after the peer had been verified without it");
}

/*
 * Forbid resumption to a server that has no certificate yet. Its rule is known with its certificate. A
 * resumed session would end the handshake before, and could be of another service, or of no service.
 */
static void forbid_resumption(endpoint *e, SSL *ssl)
{
    OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl); /* in TLS_ST_OK, a renegotiation begins */

    if (state != TLS_ST_BEFORE && state != TLS_ST_OK
        && !prov_tls_is_in_state(ssl, READS_CLIENT_HELLO))
        return;
    set_options(ssl, SSL_OP_NO_TICKET);
    if (forget_sessions(ssl))
        endpoint_set_awaiting_certificate(e);
    else
        prov_tls_stop(ssl, "the connection could not be set up without resumption");
}

void prov_tls_watch_end(endpoint *e, SSL *ssl)
{
    endpoint_displace_info(e, ssl, prov_tls_on_info);
    prov_tls_guard(e, ssl);
}

endpoint *prov_tls_arm(SSL *ssl)
{
    endpoint *e;

    if (consul_store_in_request())
        return NULL;
    e = endpoint_get(ssl);
    if (e != NULL)
        endpoint_note_security_call(e, ssl, 0);
    if (e == NULL)
        prov_tls_stop(ssl, "no memory to find out whether this connection is governed");
    else if (endpoint_judge(e, ssl) == ENDPOINT_GOVERNED)
        enforce(e, ssl);
    else if (SSL_is_server(ssl) && !endpoint_has_certificates(e)
             && !endpoint_is_awaiting_certificate(e))
        forbid_resumption(e, ssl);
    if (e != NULL && endpoint_rule(e) != ENDPOINT_LEFT_ALONE) {
        prov_tls_watch_end(e, ssl);
        endpoint_log_start(e, ssl);
    }
    return e;
}

endpoint *prov_tls_arm_anew(SSL *ssl)
{
    endpoint *e = endpoint_find(ssl);

    if (e != NULL && !prov_tls_is_governed(e))
        endpoint_look_at_all_next(e);
    return prov_tls_arm(ssl);
}

/* ---- the last stop ---- */

/*
 * Acknowledge a client's last message at once. In TLS 1.3 a server without tickets sends no answer to it.
 * A client without TCP_NODELAY would wait 40 ms for the acknowledgement before its first
 * request (RFC 1122, 4.2.3.2 and 4.2.3.4).
 */
static void acknowledge_at_once(const SSL *ssl)
{
    int on = 1, saved = errno;

    if (SSL_is_server(ssl) && SSL_version(ssl) == TLS1_3_VERSION)
        setsockopt(SSL_get_rfd(ssl), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
    errno = saved;
}

/*
 * Keep a governed server from writing until its client is authorized. A server that looks for early data
 * could write before the client's certificate has come (SSL_write_early_data). A client may write where it resumes a
 * session of an ordinary server.
 */
static void hold_back(endpoint *e, SSL *ssl)
{
    if (endpoint_rule(e) == ENDPOINT_LEFT_ALONE
        || (!SSL_is_server(ssl) && endpoint_may_finish(e, ssl)))
        return;
    endpoint_hold_back(e, ssl);
}

void prov_tls_finish(endpoint *e, SSL *ssl)
{
    if (!endpoint_may_finish(e, ssl))
        prov_tls_stop(ssl, "the peer finished the handshake without having been verified");
    endpoint_release(e, ssl);
    /* An SSL_write that has made the handshake goes on, and does not look whether it is shut down. */
    if (endpoint_is_stopped(e))
        endpoint_cut_off(e, ssl);
    else if (endpoint_rule(e) == ENDPOINT_GOVERNED)
        acknowledge_at_once(ssl);
}

/*
 * Return true where a client writes early data, to a server that has not been verified in this handshake. An application may
 * allow its session early data again, after forbid_early_data.
 */
static bool is_early(const endpoint *e, const SSL *ssl)
{
    return prov_tls_is_governed(e) && !SSL_is_server(ssl) && !SSL_is_init_finished(ssl)
           && !endpoint_may_finish(e, ssl);
}

/* Repeat the stop, which an application may have taken back. libssl looks at the shutdown and the BIO after this. */
void prov_tls_notice_data(SSL *ssl, bool is_written)
{
    endpoint *e = endpoint_find(ssl);

    if (is_written && is_early(e, ssl))
        prov_tls_stop(ssl, "a resumed session or a pre-shared key is no proof of who the peer is");
    if (e == NULL || !(endpoint_is_stopped(e) || (is_written && endpoint_is_held_back(e))))
        return;
    if (is_written)
        endpoint_swallow(e, ssl);
    else
        prov_tls_stop(ssl, "the connection was stopped before");
}

/* "Done" is told, too, of a server that looks for early data, and of a client that writes some. */
static void notice_end(endpoint *e, SSL *ssl)
{
    if (strcmp(SSL_state_string(ssl), "TED") == 0) {
        hold_back(e, ssl);
        return;
    }
    prov_tls_finish(e, ssl);
    endpoint_log_admitted(e, ssl);
}

static void notice_alert(endpoint *e, const SSL *ssl, bool sent, int alert)
{
    if (endpoint_rule(e) == ENDPOINT_GOVERNED)
        prov_tls_log_alert(e, ssl, sent, alert);
    else if (sent)
        prov_tls_note_alert(alert);
}

/*
 * Return the endpoint. It is armed where a handshake begins or ends. So it is in the step after a callback has given it
 * another certificate. The same holds after the next handshake has its random number. The end would be too late. A server of
 * TLS 1.2 has sent a ticket by then. A client has sent its leaf, and may have taken it back. Keys of a resumed session are in use.
 */
static endpoint *find_and_arm(SSL *ssl, int where)
{
    endpoint *e;
    bool has_changed;

    if (where == SSL_CB_HANDSHAKE_START)
        return prov_tls_arm(ssl);
    if (where == SSL_CB_HANDSHAKE_DONE)
        return prov_tls_arm_anew(ssl);
    e = endpoint_get(ssl);
    if (e == NULL || (where & SSL_CB_LOOP) == 0)
        return e;
    has_changed = endpoint_rule(e) == ENDPOINT_LEFT_ALONE ? endpoint_has_another_certificate(e, ssl)
                                                          : !endpoint_is_same_handshake(e, ssl);
    return has_changed ? prov_tls_arm(ssl) : e;
}

/* Return true where both ends have their master secret, up to TLS 1.2, and nothing of it yet. A resumed session brings it. */
static bool has_new_secret(const SSL *ssl)
{
    const char *state = SSL_state_string(ssl);

    return strcmp(state, SENT_CLIENT_KEY) == 0 || strcmp(state, READ_CLIENT_KEY) == 0
           || (SSL_session_reused(ssl)
               && (strcmp(state, SENT_SERVER_HELLO) == 0 || strcmp(state, READ_SERVER_HELLO) == 0));
}

/*
 * Give a peer no keys that was not authorized. With an RSA key exchange, and before TLS 1.2, libssl asks about no signature.
 * Only the end would stop such a handshake, and an application may take that back. So the master secret becomes another one
 * before it is used, and no Finished is right then.
 */
static void spoil_keys(const endpoint *e, const SSL *ssl)
{
    unsigned char secret[SSL_MAX_MASTER_KEY_LENGTH] = {0};

    if (e != NULL && !endpoint_is_stopped(e) && endpoint_may_finish(e, ssl))
        return;
    if (getentropy(secret, sizeof(secret)) != 0)
        RAND_bytes(secret, sizeof(secret)); /* the peer knows what stands here without either */
    SSL_SESSION_set1_master_key(SSL_get_session(ssl), secret, sizeof(secret));
}

/*
 * Give a client the mode back of an application that demands no verification, where its server is authorized. Ncat looks at the mode
 * after the handshake. A next handshake demands again, as each of its turns arms.
 */
static void give_back_mode(const endpoint *e, SSL *ssl)
{
    if (prov_tls_is_governed(e) && !SSL_is_server(ssl) && !SSL_in_init(ssl)
        && endpoint_peer(e) == ENDPOINT_PEER_AUTHORIZED && endpoint_is_lenient(e)
        && !endpoint_is_stopped(e))
        SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
}

void prov_tls_on_info(const SSL *s, int where, int value)
{
    SSL *ssl = (SSL *)s; /* const here only because most callbacks just look */
    endpoint *e = find_and_arm(ssl, where);
    bool is_governed = e != NULL && endpoint_rule(e) == ENDPOINT_GOVERNED;

    if (e == NULL && consul_store_in_request())
        return;
    if ((where & SSL_CB_LOOP) != 0 && (e == NULL || endpoint_is_stopped(e)))
        prov_tls_stop(ssl, "the connection was stopped before");
    if ((where & SSL_CB_LOOP) != 0 && has_new_secret(ssl))
        spoil_keys(e, ssl);
    if (e == NULL) {
        if (where == SSL_CB_HANDSHAKE_DONE)
            endpoint_cut_off(NULL, ssl); /* an SSL_write that has made the handshake goes on */
        return;
    }
    if (where == SSL_CB_HANDSHAKE_DONE)
        notice_end(e, ssl);
    give_back_mode(e, ssl);
    if ((where & SSL_CB_ALERT) != 0 && value >> 8 == SSL3_AL_FATAL)
        notice_alert(e, ssl, (where & SSL_CB_WRITE) != 0, value & 0xff);
    else if (is_governed && (where & SSL_CB_EXIT) != 0 && prov_tls_is_in_state(ssl, FAILED)
             && endpoint_is_quic(ssl))
        prov_tls_log_noted_alert(e, ssl);
    endpoint_tell_info(e, ssl, where, value, prov_tls_on_info);
    if (endpoint_is_held_back(e))
        hold_back(e, ssl);
    /* It may have displaced us; and the next step may be the CertificateRequest. */
    if (!endpoint_is_telling_info(e)) /* also where it is left alone: its leaf may come later */
        prov_tls_watch_end(e, ssl);
    if (is_governed && (where & SSL_CB_LOOP) != 0 && SSL_is_server(ssl)) {
        SSL_set_verify(ssl, PROV_SERVER_VERIFY_MODE, NULL);
        end_by_ticket(e, ssl);
        keep_keys(ssl);
        endpoint_hold_back_keys(e, ssl);
    }
}
