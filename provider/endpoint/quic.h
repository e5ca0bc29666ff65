/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's own QUIC, which is of 3.2 and later, and its servers of 3.5. libssl holds the lock of a connection
 * while it calls us. SSL_set_options, SSL_get_options and SSL_shutdown wait for that lock, and must not be
 * called. In the thread that drives the SSL.
 */
#ifndef PROV_ENDPOINT_QUIC_H
#define PROV_ENDPOINT_QUIC_H

#include "endpoint/endpoint.h"

/* Return true for a connection of OpenSSL's own QUIC. */
bool endpoint_is_quic(const SSL *ssl);

#endif
