/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections by OpenSSL's own QUIC, over UDP on loopback, in this thread. Servers came with OpenSSL 3.5.
 * A deadlock ends the process by an alarm.
 */
#ifndef CONSUL_TEST_QUIC_H
#define CONSUL_TEST_QUIC_H

#include "tls.h"

/* A server or a client. Applications would set more on `ctx` before the first connection. */
typedef struct quic_party {
    SSL_CTX *ctx;
    OSSL_LIB_CTX *elsewhere; /* its library context, which the provider does not reach; or NULL */
    SSL *ssl;                /* the listener, or the last connection; made by quic_talk */
    int fd;
} quic_party;

/* Make one with this certificate (or NULL), which asks for none, and free it. */
quic_party quic_server(const minted *own, bool elsewhere);
quic_party quic_client(const minted *own, bool elsewhere);
void quic_free(quic_party *party);

/*
 * Connect a client, with a session (or NULL). Return after a line in each direction, or a while after one side
 * has failed. The server goes on listening.
 */
tls_outcome quic_talk(quic_party *client, quic_party *server, SSL_SESSION *session);

#endif
