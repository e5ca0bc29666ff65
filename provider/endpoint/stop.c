/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/stop.h"

#include "endpoint/fields.h"
#include "endpoint/quic.h"

#include <string.h>

/* SSL_state_string(3), of a server */
#define SENT_FINISHED "TWFIN"
#define READS_EARLY_DATA "TED"

bool endpoint_stop(endpoint *e)
{
    bool is_first = !e->stopped;

    e->stopped = true;
    return is_first;
}

bool endpoint_is_stopped(const endpoint *e)
{
    return e->stopped;
}

bool endpoint_may_finish(const endpoint *e, const SSL *ssl)
{
    const X509 *cert = SSL_get0_peer_certificate(ssl);

    if (endpoint_rule(e) == ENDPOINT_LEFT_ALONE)
        return true;
    /* An application may have verified another certificate in the handshake. */
    if (endpoint_peer(e) == ENDPOINT_PEER_AUTHORIZED)
        return cert != NULL && e->authorized != NULL && X509_cmp(cert, e->authorized) == 0;
    /* The application has verified it in a context of its own. The chain is not known. */
    return endpoint_rule(e) == ENDPOINT_BY_PEER
           && (endpoint_peer(e) == ENDPOINT_PEER_LEFT_ALONE || cert == NULL
               || !consul_cert_may_be_of_a_mesh(cert));
}

/* Keep the BIO of the application, and put `wall` in its place. None does as well. */
static void displace_bio(endpoint *e, SSL *ssl, BIO *wall)
{
    BIO *wbio = SSL_get_wbio(ssl);

    if (e != NULL && BIO_up_ref(wbio)) {
        endpoint_forget_bio(e, ssl);
        e->wbio = wbio;
    }
    if (e != NULL) {
        BIO_free(e->wall);
        e->wall = wall != NULL && BIO_up_ref(wall) ? wall : NULL;
    }
    SSL_set0_wbio(ssl, wall);
}

/* Return true for our own wall, and for none. A BIO of the application may look like any other. */
static bool is_wall(const endpoint *e, const BIO *wbio)
{
    return wbio == NULL || (e != NULL && wbio == e->wall);
}

/*
 * Cut off the SSL again where the application has given it another BIO, for its next handshake say.
 *
 * All connections of a QUIC server have one socket. There the handshake is made to have another step, before
 * the next data. An error in that step ends the connection: see prov_tls_stop.
 */
void endpoint_cut_off(endpoint *e, SSL *ssl)
{
    bool is_quic = endpoint_is_quic(ssl);

    if (is_quic && SSL_is_server(ssl))
        SSL_new_session_ticket(ssl);
    else if (!is_wall(e, SSL_get_wbio(ssl)))
        displace_bio(e, ssl, is_quic ? NULL : BIO_new_mem_buf("", 0)); /* to be read only */
}

void endpoint_swallow(endpoint *e, SSL *ssl)
{
    if (!endpoint_is_quic(ssl) && !is_wall(e, SSL_get_wbio(ssl)))
        displace_bio(e, ssl, BIO_new(BIO_s_null()));
}

/* Take its BIO, too: an application may take the shutdown back. */
void endpoint_hold_back(endpoint *e, SSL *ssl)
{
    e->held_back = true;
    SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_SENT_SHUTDOWN);
    endpoint_swallow(e, ssl);
}

/* Return true where the kernel has the keys to write. BIO_get_ktls_send says no with headers of an OpenSSL without kTLS. */
static bool writes_by_kernel(SSL *ssl)
{
    return BIO_ctrl(SSL_get_wbio(ssl), BIO_CTRL_GET_KTLS_SEND, 0, NULL) > 0;
}

void endpoint_hold_back_keys(endpoint *e, SSL *ssl)
{
    const char *state = SSL_state_string(ssl);

    if ((strcmp(state, SENT_FINISHED) == 0 || strcmp(state, READS_EARLY_DATA) == 0)
        && writes_by_kernel(ssl))
        endpoint_hold_back(e, ssl);
}

void endpoint_give_back(endpoint *e, SSL *ssl)
{
    if (e->wbio == NULL)
        return;
    if (SSL_get_wbio(ssl) != e->wall) { /* the application's, or none by its will */
        endpoint_forget_bio(e, ssl);
        return;
    }
    SSL_set0_wbio(ssl, e->wbio);
    e->wbio = NULL;
}

void endpoint_release(endpoint *e, SSL *ssl)
{
    if (e->held_back && !e->stopped) {
        SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) & ~SSL_SENT_SHUTDOWN);
        endpoint_give_back(e, ssl);
    }
    e->held_back = false;
}

bool endpoint_is_held_back(const endpoint *e)
{
    return e->held_back;
}
