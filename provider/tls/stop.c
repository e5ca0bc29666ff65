/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/stop.h"

#include "endpoint/quic.h"
#include "endpoint/report.h"
#include "endpoint/stop.h"
#include "report/error_queue.h"

#include <openssl/err.h>

#define BOTH_WAYS (SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)

/* Say why it is stopped. `e` is its endpoint, or NULL. */
static void say_why(endpoint *e, SSL *ssl, const char *why)
{
    consul_error err = {0};
    bool is_first = e == NULL ? (SSL_get_shutdown(ssl) & BOTH_WAYS) != BOTH_WAYS : endpoint_stop(e);

    consul_error_set(&err, CONSUL_R_NOT_AUTHORIZED, "%s", why);
    if (is_first && e == NULL)
        prov_error_raise(CONSUL_LOG_WARNING, "peer_refused", &err, NULL);
    else if (is_first)
        endpoint_report(e, ssl, &err, NULL);
    else if (endpoint_is_quic(ssl))
        prov_error_queue(&err, NULL);
}

void prov_tls_stop(SSL *ssl, const char *why)
{
    say_why(endpoint_get(ssl), ssl, why);
    SSL_set_verify(ssl, PROV_SERVER_VERIFY_MODE, NULL);
    SSL_set_shutdown(ssl, BOTH_WAYS);
}

bool prov_tls_stop_unverified(SSL *ssl)
{
    endpoint *e = endpoint_find(ssl);

    if (e == NULL || (endpoint_may_finish(e, ssl) && !endpoint_is_stopped(e)))
        return e == NULL && !consul_store_in_request(); /* no memory to know it */
    say_why(e, ssl, "the peer finished the handshake without having been verified");
    return true; /* by an alert, which a shutdown would hold back */
}

static bool is_reason(unsigned long error, int reason)
{
    return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == reason;
}

void prov_tls_log_alert(endpoint *e, const SSL *ssl, bool sent, int alert)
{
    const char *text = SSL_alert_desc_string_long(alert);
    consul_error err = {0};

    if (sent && is_reason(ERR_peek_last_error(), SSL_R_UNEXPECTED_EOF_WHILE_READING)) {
        /* libssl says so of a message without an end: of a health check, or of a closed connection. */
        if (SSL_get_state(ssl) == TLS_ST_BEFORE || SSL_get_state(ssl) == TLS_ST_OK)
            return;
        consul_error_set(&err, CONSUL_R_HANDSHAKE_FAILED, "the peer closed the connection");
    } else if (!sent) {
        consul_error_set(&err, CONSUL_R_HANDSHAKE_FAILED, "ended by the peer: %s", text);
    } else if (alert == SSL_AD_CERTIFICATE_REQUIRED
               || is_reason(ERR_peek_last_error(), SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)) {
        consul_error_set(&err, CONSUL_R_PEER_CERTIFICATE_MISSING, "client refused");
    } else {
        consul_error_set(&err, CONSUL_R_HANDSHAKE_FAILED, "ended by us: %s", text);
    }
    endpoint_log(e, ssl, &err, NULL);
}

static _Thread_local int noted_alert = SSL_AD_INTERNAL_ERROR;

void prov_tls_note_alert(int alert)
{
    noted_alert = alert;
}

void prov_tls_log_noted_alert(endpoint *e, const SSL *ssl)
{
    prov_tls_log_alert(e, ssl, true, noted_alert);
    noted_alert = SSL_AD_INTERNAL_ERROR;
}
