/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/info.h"

#include "endpoint/fields.h"

void endpoint_displace_info(endpoint *e, SSL *ssl, endpoint_info_fn *ours)
{
    endpoint_info_fn *there = SSL_get_info_callback(ssl);

    if (there == ours) /* or it is the copy of an SSL that has it */
        return;
    e->next_info = there;
    SSL_set_info_callback(ssl, ours);
}

void endpoint_tell_info(endpoint *e, const SSL *ssl, int where, int value, endpoint_info_fn *ours)
{
    endpoint_info_fn *of_ctx = SSL_CTX_get_info_callback(SSL_get_SSL_CTX(ssl));
    endpoint_info_fn *next = NULL;

    if (e->telling == 0)
        next = e->next_info != NULL ? e->next_info : of_ctx;
    else if (e->telling == 1 && e->next_info != NULL)
        next = of_ctx;
    if (next == NULL || next == ours)
        return;
    e->telling++;
    next(ssl, where, value);
    e->telling--;
}

bool endpoint_is_telling_info(const endpoint *e)
{
    return e->telling != 0;
}
