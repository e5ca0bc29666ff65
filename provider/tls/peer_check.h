/* SPDX-License-Identifier: Apache-2.0 */
/* One peer on its way to a verdict. */
#ifndef PROV_TLS_PEER_CHECK_H
#define PROV_TLS_PEER_CHECK_H

#include "endpoint/endpoint.h"
#include <openssl/x509_vfy.h>

/* On the heap: a fibre of OpenSSL's ASYNC jobs has 32 kB. */
typedef struct peer_check {
    SSL *ssl;
    endpoint *end;       /* its */
    bool by_peer;        /* the peer's certificate decided that it is governed */
    bool is_displaced;   /* the application has verified the peer in the place of libssl */
    X509_STORE_CTX *ctx; /* libssl's: the peer's certificates, and where the result goes */
    /* Its certificates, borrowed, as a callback of the application may put others there. `cert` is NULL with a raw key. */
    X509 *cert;
    STACK_OF(X509) *untrusted;
    consul_roots *roots;
    STACK_OF(X509) *chain;                   /* verified */
    unsigned char digest[CONSUL_DIGEST_LEN]; /* of that */
    int x509_error;                          /* X509_V_ERR_…, from which libssl makes the alert */
    int application_error; /* of a refusal by the application's callback, or X509_V_OK */
    /* Not set at first: they are long, and a peer that is left to the application needs neither. */
    consul_spiffe_id id;  /* the peer's */
    consul_spiffe_id own; /* room for this end's */
    consul_error why;     /* likewise for the reason of an attempt */
    consul_error err;     /* the reason of a refusal */
} peer_check;

#endif
