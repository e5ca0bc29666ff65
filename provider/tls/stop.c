/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/stop.h"

#include "endpoint/report.h"
#include "endpoint/stop.h"
#include "report/error_queue.h"

#include <openssl/err.h>

void prov_tls_stop(SSL *ssl, const char *why)
{
    endpoint *e = endpoint_get(ssl);
    consul_error err = {0};
    int both = SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN;

    if (e == NULL ? (SSL_get_shutdown(ssl) & both) != both : endpoint_stop(e)) {
        consul_error_set(&err, CONSUL_R_NOT_AUTHORIZED, "%s", why);
        if (e != NULL)
            endpoint_report(e, ssl, &err, NULL);
        else
            prov_error_raise(CONSUL_LOG_WARNING, "peer_refused", &err, NULL);
    }
    SSL_set_verify(ssl, PROV_SERVER_VERIFY_MODE, NULL);
    SSL_set_shutdown(ssl, both);
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
    } else if (is_reason(ERR_peek_last_error(), SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)) {
        consul_error_set(&err, CONSUL_R_PEER_CERTIFICATE_MISSING, "client refused");
    } else {
        consul_error_set(&err, CONSUL_R_HANDSHAKE_FAILED, "ended by us: %s", text);
    }
    endpoint_log(e, ssl, &err, NULL);
}
