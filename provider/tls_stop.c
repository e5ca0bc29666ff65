/*
 * The last stop: how a handshake ends. Nobody passes who was not authorized in it, whatever the
 * application has displaced.
 *
 * Every handshake passes the info callback of its SSL: before each of its steps, and when it is done,
 * before the first data. That callback is ours from the first turn of a handshake on that comes to us,
 * and each later turn puts it back. An application's own is called by it.
 */
#include "endpoint.h"

#include <errno.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <openssl/err.h>

/*
 * Let nothing more be written to the network. What the application has given us stays alive. It may
 * give another, for the SSL's next handshake say, which is cut off in its turn.
 */
static void cut_off(endpoint *e, SSL *ssl)
{
    BIO *wbio = SSL_get_wbio(ssl), *wall;

    if (wbio == NULL || BIO_test_flags(wbio, BIO_FLAGS_MEM_RDONLY) || !BIO_up_ref(wbio))
        return;
    BIO_free_all(e->wbio);
    e->wbio = wbio;
    wall = BIO_new_mem_buf("", 0); /* to be read only */
    SSL_set0_wbio(ssl, wall);      /* none does as well */
}

void prov_tls_stop(SSL *ssl, const char *why)
{
    endpoint *e = endpoint_get(ssl);
    consul_error err = {0};
    int both = SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN;

    if (e == NULL ? (SSL_get_shutdown(ssl) & both) != both : !e->stopped) {
        consul_error_set(&err, CONSUL_R_NOT_AUTHORIZED, "%s", why);
        if (e != NULL)
            endpoint_report(e, ssl, &err, NULL);
        else
            prov_error_raise(&err, NULL, NULL);
    }
    if (e != NULL)
        e->stopped = true;
    SSL_set_verify(ssl, PROV_SERVER_VERIFY_MODE, NULL);
    SSL_set_shutdown(ssl, both);
}

/*
 * Was the peer authorized in this handshake, or is it none of our business? A client that goes by its
 * peer has not met that peer where a session was resumed, or the application verified it by itself.
 */
static bool may_finish(const endpoint *e, const SSL *ssl)
{
    const X509 *cert = SSL_get0_peer_certificate(ssl);

    if (e->peer == ENDPOINT_PEER_AUTHORIZED || e->rule == ENDPOINT_LEFT_ALONE)
        return true;
    return e->rule == ENDPOINT_BY_PEER
           && (e->peer == ENDPOINT_PEER_LEFT_ALONE || cert == NULL
               || !consul_cert_claims_trust_domain(cert, NULL));
}

/*
 * In TLS 1.3 the client has the last word, which a server that sends no tickets leaves without an
 * answer. A client that does not set TCP_NODELAY would wait 40 ms for the acknowledgement before it
 * sends its first request (RFC 1122, 4.2.3.2 and 4.2.3.4).
 */
static void acknowledge_at_once(const SSL *ssl)
{
    int on = 1, saved = errno;

    if (SSL_is_server(ssl) && SSL_version(ssl) == TLS1_3_VERSION)
        setsockopt(SSL_get_rfd(ssl), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
    errno = saved;
}

/*
 * A server that looks for early data could write, too, before the client's certificate has come
 * (SSL_write_early_data). A governed one cannot until the client is authorized.
 */
static void hold_back(endpoint *e, SSL *ssl)
{
    if (e->rule == ENDPOINT_LEFT_ALONE)
        return;
    e->held_back = true;
    SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_SENT_SHUTDOWN);
}

void prov_tls_finish(endpoint *e, SSL *ssl)
{
    if (!may_finish(e, ssl))
        prov_tls_stop(ssl, "the peer finished the handshake without having been verified");
    else if (e->held_back && !e->stopped)
        SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) & ~SSL_SENT_SHUTDOWN);
    e->held_back = false;
    /* An SSL_write that has made the handshake goes on, and does not look whether it is shut down. */
    if (e->stopped)
        cut_off(e, ssl);
    else if (e->rule == ENDPOINT_GOVERNED)
        acknowledge_at_once(ssl);
}

static bool is_reason(unsigned long error, int reason)
{
    return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == reason;
}

/* A fatal alert ends a governed connection: what nobody has reported yet is written to the log. */
static void log_alert(endpoint *e, const SSL *ssl, bool sent, int alert)
{
    const char *text = SSL_alert_desc_string_long(alert);
    consul_error err = {0};

    if (sent && is_reason(ERR_peek_last_error(), SSL_R_UNEXPECTED_EOF_WHILE_READING)) {
        /* To libssl a message that can not be decoded: a health check, or the end of a connection. */
        if (SSL_get_state(ssl) == TLS_ST_BEFORE || SSL_get_state(ssl) == TLS_ST_OK)
            return;
        consul_error_set(&err, CONSUL_R_HANDSHAKE_FAILED, "the peer closed the connection");
    } else if (!sent) {
        consul_error_set(&err, CONSUL_R_HANDSHAKE_FAILED, "ended by the peer: %s", text);
    } else if (is_reason(ERR_peek_last_error(), SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)) {
        consul_error_set(&err, CONSUL_R_PEER_CERTIFICATE_MISSING, "client refused");
    } else {
        consul_error_set(&err, CONSUL_R_HANDSHAKE_FAILED, "ended by us: %s", text);
    }
    endpoint_log(e, ssl, &err, NULL);
}

static void on_info(const SSL *s, int where, int value);

/*
 * Tell the application's own callback: that of the SSL, or else its context's. Either may be made of
 * ours, and call it in its turn. The SSL's then means the context's, and the context's means nobody's.
 */
static void tell_application(endpoint *e, const SSL *ssl, int where, int value)
{
    void (*of_ctx)(const SSL *, int, int) = SSL_CTX_get_info_callback(SSL_get_SSL_CTX(ssl));
    void (*next)(const SSL *, int, int) = NULL;

    if (e->telling == 0)
        next = e->next_info != NULL ? e->next_info : of_ctx;
    else if (e->telling == 1 && e->next_info != NULL)
        next = of_ctx;
    if (next == NULL || next == on_info)
        return;
    e->telling++;
    next(ssl, where, value);
    e->telling--;
}

/* "Done" is told of a server, too, that looks for early data before the client's certificate. */
static void notice_end(endpoint *e, SSL *ssl)
{
    if (strcmp(SSL_state_string(ssl), "TED") == 0)
        hold_back(e, ssl);
    else
        prov_tls_finish(e, ssl);
}

static void on_info(const SSL *s, int where, int value)
{
    SSL *ssl = (SSL *)s; /* const here only because most callbacks just look */
    endpoint *e = where == SSL_CB_HANDSHAKE_START || where == SSL_CB_HANDSHAKE_DONE
                      ? prov_tls_arm(ssl)
                      : endpoint_get(ssl);
    bool is_governed = e != NULL && e->rule == ENDPOINT_GOVERNED;

    if (e == NULL)
        return;
    if (where == SSL_CB_HANDSHAKE_DONE)
        notice_end(e, ssl);
    if (is_governed && (where & SSL_CB_ALERT) != 0 && value >> 8 == SSL3_AL_FATAL)
        log_alert(e, ssl, (where & SSL_CB_WRITE) != 0, value & 0xff);
    tell_application(e, ssl, where, value);
    /* It may have displaced us; and the next step may be the CertificateRequest. */
    if (e->rule != ENDPOINT_LEFT_ALONE && e->telling == 0)
        prov_tls_listen(e, ssl);
    if (is_governed && (where & SSL_CB_LOOP) != 0 && SSL_is_server(ssl))
        SSL_set_verify(ssl, PROV_SERVER_VERIFY_MODE, NULL);
}

void prov_tls_listen(endpoint *e, SSL *ssl)
{
    void (*there)(const SSL *, int, int) = SSL_get_info_callback(ssl);

    if (there == on_info) /* or it is the copy of an SSL that has it */
        return;
    e->next_info = there;
    SSL_set_info_callback(ssl, on_info);
}
