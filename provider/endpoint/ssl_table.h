/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SSLs of this process by address, each with its endpoint. Any thread; no lock, which a fork might leave held.
 *
 * The endpoints are not in the ex_data of their SSLs. Some programs write under numbers of ex_data that they have not
 * asked for. A high number, which they spare, costs a bystander a stack of that size.
 */
#ifndef PROV_ENDPOINT_SSL_TABLE_H
#define PROV_ENDPOINT_SSL_TABLE_H

#include "endpoint/endpoint.h"

/*
 * Add an SSL without an endpoint, which is not in the table. Return the place of its endpoint; NULL without memory. OpenSSL
 * tells of its end where it has told of its begin, `is_told`.
 */
endpoint **ssl_table_add(const void *ssl, bool is_told);

/*
 * Return the place of its endpoint, for the thread that drives or frees the SSL; NULL if none is at this address.
 * The SSL is not looked at. An SSL may be missing that was made before the provider was loaded, or under another default
 * library context. An SSL may still be there that was freed without memory, or under such a context.
 */
endpoint **ssl_table_find(const void *ssl);

/* Return true if OpenSSL has told of the begin of this SSL. `place` is of ssl_table_find. */
bool ssl_table_is_told(endpoint *const *place);

/* Remove an SSL, in the thread that frees it. Its endpoint is gone. `place` is of ssl_table_find. */
void ssl_table_remove(endpoint **place);

#endif
