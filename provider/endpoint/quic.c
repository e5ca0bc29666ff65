/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/quic.h"

#include "endpoint/fields.h"

#define VERSION 1 /* OSSL_QUIC1_VERSION of OpenSSL 3.2 */

bool endpoint_is_quic(const SSL *ssl)
{
    return SSL_version(ssl) == VERSION;
}

void endpoint_displace_security(endpoint *e, SSL *ssl, endpoint_security_fn *ours)
{
    endpoint_security_fn *there = SSL_get_security_callback(ssl);

    if (there == ours)
        return;
    e->next_security = there;
    SSL_set_security_callback(ssl, ours);
}

endpoint_security_fn *endpoint_next_security(const endpoint *e)
{
    return e->next_security;
}
