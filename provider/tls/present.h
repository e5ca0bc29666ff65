/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate that a governed end presents, in the thread that drives the SSL. */
#ifndef PROV_TLS_PRESENT_H
#define PROV_TLS_PRESENT_H

#include "endpoint/endpoint.h"

/* Present the live leaf, as SSL_set_cert_cb of a server. Returns 0 without a leaf. */
int prov_tls_on_certificate(SSL *ssl, void *arg);

/* Keep the certificate, as SSL_set_cert_cb of a client: its verification has put the live leaf there. */
int prov_tls_on_client_certificate(SSL *ssl, void *arg);

/*
 * Replace the certificate that a server has chosen by the live leaf, or by no certificate. It may have
 * chosen a stand-in: by an application's own callback, or because ours was displaced.
 */
void prov_tls_replace_chosen(endpoint *e, SSL *ssl);

#endif
