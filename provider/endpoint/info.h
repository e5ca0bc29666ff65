/* SPDX-License-Identifier: Apache-2.0 */
/* The info callback of the application, which ours displaces. In the thread that drives the SSL. */
#ifndef PROV_ENDPOINT_INFO_H
#define PROV_ENDPOINT_INFO_H

#include "endpoint/endpoint.h"

typedef void endpoint_info_fn(const SSL *ssl, int where, int value);

/* Put our callback in the place of the SSL's own. Repeated calls are cheap. */
void endpoint_displace_info(endpoint *e, SSL *ssl, endpoint_info_fn *ours);

/*
 * Call the application's own callback: that of the SSL, or else its context's. Either may be made of
 * ours, and call it in its turn. The SSL's then means the context's, and the context's means none.
 */
void endpoint_tell_info(endpoint *e, const SSL *ssl, int where, int value, endpoint_info_fn *ours);

/* Return true inside of endpoint_tell_info. */
bool endpoint_is_telling_info(const endpoint *e);

#endif
