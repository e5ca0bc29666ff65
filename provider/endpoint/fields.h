/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of an endpoint: for the files of this folder only. */
#ifndef PROV_ENDPOINT_FIELDS_H
#define PROV_ENDPOINT_FIELDS_H

#include "endpoint/security.h"

#define ENDPOINT_CERTS_MAX 16 /* OpenSSL has one for each of nine types of key */

struct endpoint {
    uint32_t mark;                            /* the number of its SSL, see endpoint.c */
    void (*next_info)(const SSL *, int, int); /* the SSL's own, or NULL for its context's */
    endpoint_security_fn *next_security;      /* the SSL's own; NULL where ours displaces none */
    bool asking_security;                     /* it is being called */
    bool is_lenient;                          /* the application demands no verification */
    unsigned char telling;                    /* depth of calls of the application's */
    BIO *wbio;                                /* the SSL's own, which was cut off; or NULL */
    BIO *wall;                                /* ours in its place; or NULL */
    const SSL_CTX *ctx;  /* the SSL's when its certificates were looked at; compared, never used */
    const EVP_PKEY *key; /* its current key then; compared, never used */
    X509 *current;       /* its current certificate then */
    X509 *seen[ENDPOINT_CERTS_MAX]; /* the SSL's certificates with a key then */
    size_t seen_count;
    consul_leaf *ours; /* the leaf that endpoint_present_leaf has put there, or NULL */
    /* The identity that the application's own certificates give it; at most one of these: */
    X509 *leaf;                 /* a Connect leaf, presented as it is */
    const consul_uri *stand_in; /* the URI of a stand-in, or by which `leaf` was loaded */

    char other_host[64]; /* a host name that asks for no service, if it has room */
    unsigned
        other_host_of; /* the instances that say so, see prov_instances_generation; 0 for none */

    /* Of the handshake that is going on: */
    bool begun; /* the fields below are set */
    bool stopped;
    bool held_back;                         /* it may not write yet */
    unsigned char random[SSL3_RANDOM_SIZE]; /* this end's, of which each handshake has its own */
    int security_op;                        /* SSL_SECOP_..., the last call of the callback; or 0 */
    OSSL_HANDSHAKE_STATE security_state;    /* the state of that call */
    bool asked;                             /* the agent may have been asked */
    int64_t asked_since;                    /* the moment of that, in microseconds */
    int64_t waited;                         /* for the agent, in milliseconds */
    bool awaits_certificate;                /* a server without one yet; it resumes nothing */
    bool saw_message;                       /* our message callback was called */
    bool prepared;                          /* the SSL has been set up for it */
    consul_store *store; /* NULL without an active instance, or with an unusable one */
    bool unusable;       /* the second of these */
    enum endpoint_rule rule;
    enum endpoint_peer peer;
    X509 *shown;             /* see endpoint_note_shown; or NULL */
    bool expects_shown;      /* see endpoint_expect_shown */
    bool looked_at;          /* the peer was verified by us, with whichever result */
    X509 *authorized;        /* the certificate of the peer that was authorized, or NULL */
    bool reported;           /* the cause of its refusal */
    bool noted;              /* it is governed, or may be */
    bool admitted;           /* the peer, in the audit */
    enum consul_basis basis; /* of a server's yes */
    bool presents_live_leaf; /* the stand-in's, or that of the configured service */
    bool has_wanted;         /* the host name asks for a service: */
    consul_service wanted;
    bool host_is_service; /* the SPIFFE ID answers the host check that was left to OpenSSL */
};

/* Free a certificate. It is NULL mostly, which X509_free finds out late. */
static inline void endpoint_drop(X509 **cert)
{
    if (*cert != NULL)
        X509_free(*cert);
    *cert = NULL;
}

/*
 * Forget the BIO that was put away, as the SSL has one of the application again, or is freed. An application may give the SSL its
 * two BIOs again (SSL_set_bio), and passes no reference then. libssl takes one, for our wall is replaced. So it gets ours. One BIO
 * for both directions has a reference of its own there.
 */
static inline void endpoint_forget_bio(endpoint *e, const SSL *ssl)
{
    if (e->wbio != SSL_get_wbio(ssl) || e->wbio == SSL_get_rbio(ssl))
        BIO_free_all(e->wbio);
    e->wbio = NULL;
}

#endif
