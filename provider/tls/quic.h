/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of OpenSSL's own QUIC, which obey no SSL_set_shutdown. In the thread that drives the SSL. */
#ifndef PROV_TLS_QUIC_H
#define PROV_TLS_QUIC_H

#include "endpoint/endpoint.h"

/*
 * Have libssl ask us before it accepts that the peer has the key of its certificate. An application may have
 * displaced the security callback. A no to this question ends the handshake, before the last message. A no-op
 * for other connections than QUIC. Repeated calls are cheap.
 */
void prov_tls_guard_quic(endpoint *e, SSL *ssl);

#endif
