/* The certificate that a governed end presents, in the thread that drives the SSL. */
#ifndef PROV_TLS_PRESENT_H
#define PROV_TLS_PRESENT_H

#include "endpoint/endpoint.h"

/* A server's SSL_set_cert_cb: the turn to choose what it presents. */
int prov_tls_on_certificate(SSL *ssl, void *arg);

/* A client's: the verification has put the live leaf there, and nothing shall take its place. */
int prov_tls_on_client_certificate(SSL *ssl, void *arg);

/*
 * What a server has chosen to present becomes the live leaf, or nothing: an application's own callback,
 * or a handshake that asks us only after ours was displaced, may have chosen a stand-in.
 */
void prov_tls_replace_chosen(endpoint *e, SSL *ssl);

#endif
