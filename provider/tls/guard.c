/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/guard.h"

#include "endpoint/security.h"
#include "tls/stop.h"

static int on_question(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                       void *ex)
{
    SSL *ssl = (SSL *)s; /* const here only because most callbacks just look */
    endpoint *e = endpoint_find(s);

    if (op == SSL_SECOP_SIGALG_CHECK && prov_tls_stop_unverified(ssl))
        return 0;
    return e != NULL && endpoint_ask_security(e, s, ctx, op, bits, nid, other, ex);
}

void prov_tls_guard(endpoint *e, SSL *ssl)
{
    endpoint_displace_security(e, ssl, on_question);
}
