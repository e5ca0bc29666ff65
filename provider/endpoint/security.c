/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/security.h"

#include "endpoint/fields.h"

#include <stdatomic.h>

static _Atomic(endpoint_security_fn *) usual_security;

void endpoint_set_usual_security(endpoint_security_fn *usual)
{
    atomic_store_explicit(&usual_security, usual, memory_order_relaxed);
}

void endpoint_displace_security(endpoint *e, SSL *ssl, endpoint_security_fn *ours)
{
    endpoint_security_fn *there = SSL_get_security_callback(ssl);

    if (there == ours || there == atomic_load_explicit(&usual_security, memory_order_relaxed))
        return;
    e->next_security = there;
    SSL_set_security_callback(ssl, ours);
}

int endpoint_ask_security(endpoint *e, const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid,
                          void *other, void *ex)
{
    endpoint_security_fn *next = e->next_security;
    int answer;

    if (e->asking_security || next == NULL)
        next = atomic_load_explicit(&usual_security, memory_order_relaxed);
    if (next == NULL)
        return 0;
    e->asking_security = true;
    answer = next(s, ctx, op, bits, nid, other, ex);
    e->asking_security = false;
    return answer;
}
