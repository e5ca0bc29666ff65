/* SPDX-License-Identifier: Apache-2.0 */
/* A client of TLS outside of Connect: it takes what a server presents, and may have a leaf. One thread. */
#ifndef CLI_CHECK_CLIENT_H
#define CLI_CHECK_CLIENT_H

#include "identity/leaf.h"

#include <stdbool.h>

typedef struct cli_visit {
    bool connected; /* the server has presented a certificate */
    bool demanded;  /* it has asked for a certificate of the client */
    bool admitted;  /* it has not refused the client */
    X509 *cert;     /* the server's; owned, NULL without one */
    STACK_OF(X509) *chain;
    char why[256]; /* of a refusal, in OpenSSL's words */
} cli_visit;

/*
 * Visit the server at the other end of a connected socket, with this leaf, or with no certificate for
 * NULL. A server that sends nothing for `patience` milliseconds has admitted the client. Clear the visit
 * in any case. Does not close the socket.
 */
void cli_visit_make(cli_visit *visit, int fd, const consul_leaf *leaf, const char *name,
                    int patience);
void cli_visit_clear(cli_visit *visit);

#endif
