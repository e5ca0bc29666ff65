/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/present.h"

#include "endpoint/certificates.h"
#include "endpoint/report.h"
int prov_tls_on_certificate(SSL *ssl, void *arg)
{
    endpoint *e = endpoint_get(ssl);
    consul_error err = {0};

    if (e == NULL || endpoint_present_leaf(e, ssl, &err))
        return e != NULL;
    endpoint_report(e, ssl, &err, "no leaf to present");
    return 0;
}

void prov_tls_replace_chosen(endpoint *e, SSL *ssl)
{
    consul_error err = {0};

    if (!SSL_is_server(ssl) || !endpoint_presents_live_leaf(e)
        || endpoint_is_ours(e, SSL_get_certificate(ssl)) || endpoint_present_leaf(e, ssl, &err))
        return;
    SSL_certs_clear(ssl);
    endpoint_report(e, ssl, &err, "no leaf to present");
}

int prov_tls_on_client_certificate(SSL *ssl, void *arg)
{
    return 1;
}
