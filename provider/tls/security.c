/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/security.h"

#include "endpoint/certificates.h"
#include "endpoint/quic.h"
#include "endpoint/report.h"
#include "endpoint/security.h"
#include "instance/instances.h"
#include "report/error_queue.h"
#include "tls/govern.h"
#include "tls/guard.h"
#include "tls/half.h"
#include "tls/stop.h"

#include <stdatomic.h>

#include <openssl/objects.h>

/* Keep libssl's own security callback, which every SSL_CTX has at first. It is set before ours can run. */
static _Atomic(endpoint_security_fn *) default_security;

/* Whether an SSL_CTX of this process was given a Connect certificate, to which others may switch by SNI. */
static atomic_bool may_switch;

#define COMPRESSING_OPENSSL 0x30200000UL /* the first release that compresses certificates */

/* Return true if a governed connection may use this cipher. With an unusable instance it may use none. */
static bool __attribute__((noinline))
accepts_cipher(endpoint *e, const SSL *ssl, const SSL_CIPHER *cipher)
{
    consul_error why = {0};

    if (!endpoint_is_unusable(e))
        return prov_tls_authenticates(cipher);
    if (!endpoint_was_reported(e)) {
        consul_store_unref(prov_active_store(&why));
        endpoint_report(e, ssl, &why, "all TLS of this process is refused");
    }
    return false;
}

/*
 * Return true if a stand-in would be sent, or another certificate in place of the live leaf. libssl asks
 * about each certificate that it is about to send, whichever callback chose it. A client_cert_cb is asked
 * where the server does not accept the leaf.
 */
static bool takes_the_place_of_the_leaf(SSL *ssl, const X509 *cert)
{
    bool sent = prov_tls_sends_certificate(ssl);
    endpoint *e = endpoint_get(ssl);
    consul_error err = {0};
    consul_uri uri;

    if (e == NULL || endpoint_is_ours(e, cert))
        return e == NULL && sent;
    if (!(sent && consul_cert_stands_in(cert, &uri))
        && !(prov_tls_is_governed(e) && endpoint_presents_live_leaf(e)
             && (sent || (!SSL_is_server(ssl) && endpoint_peer(e) == ENDPOINT_PEER_AUTHORIZED))))
        return false;
    consul_error_set(&err, CONSUL_R_OWN_IDENTITY_INVALID,
                     "it is not the live leaf that would be presented");
    endpoint_report(e, ssl, &err, NULL);
    return true;
}

/*
 * Return true if a Connect leaf that the SSL has is being compressed beforehand (SSL_CTX_compress_certs).
 * It would be sent without a call of this callback. So the compression fails, and the leaf is sent
 * uncompressed. An application that gives its SSL the same object again asks in the same way, and may
 * set SSL_OP_NO_TX_CERTIFICATE_COMPRESSION before.
 */
static bool is_being_compressed(SSL *ssl, X509 *cert)
{
    consul_uri uri;

    if (OpenSSL_version_num() < COMPRESSING_OPENSSL
        || endpoint_is_quic(ssl) /* its options have a lock, and the last stop holds */
        || (SSL_get_options(ssl) & PROV_NO_TX_CERTIFICATE_COMPRESSION) != 0)
        return false;
    return (consul_cert_claims_connect(cert) || consul_cert_stands_in(cert, &uri))
           && endpoint_ssl_has(ssl, cert);
}

/*
 * Return true for a Connect leaf that comes too late. The certificate is given to the SSL in its handshake,
 * by a client_cert_cb say, or is about to be sent. The leaf makes the connection governed. Too late is
 * after the peer has passed by the application's rules. So is past the CertificateRequest of a
 * TLS 1.3 server, where the server has sent no request.
 *
 * Not inlined, as accepts_cipher: each call of on_security would pay for their frames.
 */
static bool __attribute__((noinline)) comes_too_late(SSL *ssl, X509 *cert)
{
    endpoint *e = endpoint_find(ssl);
    bool is_live = prov_tls_is_governed(e) && endpoint_is_ours(e, cert)
                   && endpoint_peer(e) != ENDPOINT_PEER_LEFT_ALONE,
         sent = SSL_is_server(ssl) && prov_tls_sends_certificate(ssl), demanded;
    consul_uri uri;

    if (cert != NULL && SSL_get_state(ssl) == TLS_ST_BEFORE)
        return is_being_compressed(ssl, cert);
    if (cert == NULL || !SSL_in_init(ssl) || (is_live && !sent)
        || (e != NULL && !prov_tls_is_governed(e) && endpoint_knows_as_ordinary(e, cert)))
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
        endpoint_add_certificate(e, cert);
        prov_tls_arm(ssl);
    }
    if (endpoint_peer(e) != ENDPOINT_PEER_LEFT_ALONE
        && (!sent || demanded || (SSL_version(ssl) != TLS1_3_VERSION && !endpoint_is_quic(ssl))))
        return false;
    prov_tls_stop(ssl, "the Connect leaf came too late for the peer to be verified with it");
    /* A client on QUIC would go on without it, and no shutdown stops that. It is refused when it sends the leaf. */
    return SSL_is_server(ssl) || !endpoint_is_quic(ssl);
}

/*
 * Return true if an application asks for a list before it connects. An SSL whose method has both ends is
 * not known to be client or server then. A server is asked again after its ClientHello.
 */
static bool is_before_the_handshake(const SSL *ssl, int op)
{
    const SSL_METHOD *method = SSL_get_ssl_method(ssl);

    return SSL_in_before(ssl)
           && (op != SSL_SECOP_VERSION
               || (SSL_is_server(ssl) && (method == TLS_method() || method == DTLS_method())));
}

/*
 * Return true, and stop the connection, where a governed client resumes a session or a secret. No shutdown stops QUIC. From
 * OpenSSL 4 on no error on the queue does so, either.
 */
static bool resumes_in_vain(SSL *ssl)
{
    return SSL_session_reused(ssl) && prov_tls_stop_unverified(ssl);
}

/* Return the endpoint, armed for this question. `again` is that of a question that repeats the last one, or NULL. */
static endpoint *arm_for(SSL *ssl, int op, endpoint *again)
{
    endpoint *e = again;

    if (e == NULL && !is_before_the_handshake(ssl, op) && (e = prov_tls_arm(ssl)) != NULL)
        endpoint_note_security_call(e, ssl, op);
    return e;
}

/*
 * Return true if all TLS is refused, and say so. Servers give a certificate to a context before they start,
 * and when they check their configuration (nginx -t). The check fails here, and the
 * program shows why.
 */
static bool __attribute__((noinline)) refuses_all_tls(void)
{
    consul_error why = {0};

    consul_store_unref(prov_active_store(&why));
    if (why.reason == 0 || why.reason == CONSUL_R_NOT_ACTIVE)
        return false;
    prov_error_raise(CONSUL_LOG_ERROR, "configuration_refused", &why,
                     "all TLS of this process is refused");
    return true;
}

/* Note a certificate that an SSL_CTX is given. */
static void __attribute__((noinline)) note_certificate(const SSL_CTX *ctx, const X509 *cert)
{
    consul_uri uri;

    prov_tls_half_note(ctx, cert);
    if (cert != NULL && (consul_cert_claims_connect(cert) || consul_cert_stands_in(cert, &uri)))
        atomic_store_explicit(&may_switch, true, memory_order_relaxed);
}

/* Return true where this question is refused, whatever the default callback says. `ssl` is NULL for an SSL_CTX alone. */
static bool __attribute__((noinline))
refuses(SSL *ssl, const SSL_CTX *ctx, int op, void *other, endpoint *again)
{
    bool refused = false;
    endpoint *e;

    switch (op) {
    case SSL_SECOP_CIPHER_SUPPORTED:
    case SSL_SECOP_CIPHER_SHARED:
    case SSL_SECOP_CIPHER_CHECK:
        e = arm_for(ssl, op, again);
        refused = prov_tls_is_governed(e)
                  && (!accepts_cipher(e, ssl, other)
                      || (op == SSL_SECOP_CIPHER_CHECK && resumes_in_vain(ssl)));
        break;
    case SSL_SECOP_SIGALG_SHARED: /* after a server's SNI callback, and before the choice */
        arm_for(ssl, op, again);
        break;
    case SSL_SECOP_VERSION:
        e = arm_for(ssl, op, again);
        if (e != NULL)
            prov_tls_expect_leaf(e, ssl);
        break;
    case SSL_SECOP_SIGALG_CHECK:
        refused = prov_tls_stop_unverified(ssl);
        break;
    case SSL_SECOP_EE_KEY:
        if (ssl == NULL)
            note_certificate(ctx, other);
        refused = ssl == NULL ? refuses_all_tls() : comes_too_late(ssl, other);
        e = ssl == NULL ? NULL : endpoint_find(ssl);
        if (ssl != NULL && !refused)
            refused = prov_tls_shows_leaf_too_early(e, ssl, other);
        if (e != NULL) {
            endpoint_note_security_call(e, ssl, 0);
            refused = refused || prov_tls_shows_another(e, ssl, other);
        }
        break;
    default:
        break;
    }
    return refused;
}

/* Look at a question. Not inlined, as most others need no frame. */
static int __attribute__((noinline))
on_question(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other, void *ex)
{
    SSL *ssl = (SSL *)s; /* const here only because most callbacks just look */
    endpoint *again = op == SSL_SECOP_EE_KEY || op == SSL_SECOP_SIGALG_CHECK
                          ? NULL
                          : endpoint_find_repeating(ssl, op);
    /* Of an endpoint that is not governed, the first question of a list answers the others. */
    bool is_answered = again != NULL && endpoint_rule(again) != ENDPOINT_GOVERNED;
    bool refused = !is_answered && refuses(ssl, ctx, op, other, again);

    return refused ? 0
                   : atomic_load_explicit(&default_security, memory_order_relaxed)(s, ctx, op, bits,
                                                                                   nid, other, ex);
}

/* Asked some hundred times a handshake, and mostly about ciphers. */
static int on_security(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                       void *ex)
{
    if (op == SSL_SECOP_EE_KEY
        || (s != NULL
            && (op == SSL_SECOP_CIPHER_SUPPORTED || op == SSL_SECOP_CIPHER_SHARED
                || op == SSL_SECOP_CIPHER_CHECK || op == SSL_SECOP_SIGALG_SHARED
                || op == SSL_SECOP_VERSION || op == SSL_SECOP_SIGALG_CHECK)))
        return on_question(s, ctx, op, bits, nid, other, ex);
    return atomic_load_explicit(&default_security, memory_order_relaxed)(s, ctx, op, bits, nid,
                                                                         other, ex);
}

void prov_tls_secure(SSL_CTX *ctx)
{
    atomic_store_explicit(&default_security, SSL_CTX_get_security_callback(ctx),
                          memory_order_relaxed);
    endpoint_set_usual_security(on_security);
    SSL_CTX_set_security_callback(ctx, on_security);
}

bool prov_tls_is_secured(const SSL *ssl)
{
    return SSL_get_security_callback(ssl) == on_security;
}

void prov_tls_expect_leaf(endpoint *e, SSL *ssl)
{
    if (endpoint_rule(e) == ENDPOINT_LEFT_ALONE && SSL_is_server(ssl) && !SSL_in_before(ssl)
        && (!endpoint_saw_message(e) || !prov_tls_is_secured(ssl) || !endpoint_has_certificates(e)
            || atomic_load_explicit(&may_switch, memory_order_relaxed)))
        prov_tls_watch_end(e, ssl);
}
