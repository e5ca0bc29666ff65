/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/quic.h"

#include "endpoint/quic.h"
#include "tls/stop.h"

static int on_question(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                       void *ex)
{
    SSL *ssl = (SSL *)s; /* const here only because most callbacks just look */
    endpoint_security_fn *next = NULL;
    const endpoint *e = endpoint_find(s);

    if (op == SSL_SECOP_SIGALG_CHECK && prov_tls_stop_unverified(ssl))
        return 0;
    if (e != NULL)
        next = endpoint_next_security(e);
    return next == NULL ? e != NULL : next(s, ctx, op, bits, nid, other, ex);
}

void prov_tls_guard_quic(endpoint *e, SSL *ssl)
{
    if (endpoint_is_quic(ssl))
        endpoint_displace_security(e, ssl, on_question);
}
