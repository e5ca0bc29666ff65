/*
 * One end of a TLS connection: what it has to do with Connect. Kept with its SSL and used by the
 * hooks alone, in the thread that drives the SSL.
 */
#ifndef PROV_ENDPOINT_ENDPOINT_H
#define PROV_ENDPOINT_ENDPOINT_H

#include "store.h"

#include <stdbool.h>

#include <openssl/ssl.h>

enum endpoint_rule {
    ENDPOINT_LEFT_ALONE, /* ordinary TLS */
    ENDPOINT_BY_PEER,    /* a client of a configured service: Connect if its server is */
    ENDPOINT_GOVERNED    /* Connect or nothing */
};

enum endpoint_peer {
    ENDPOINT_PEER_UNKNOWN,
    ENDPOINT_PEER_LEFT_ALONE, /* to the application's rules */
    ENDPOINT_PEER_AUTHORIZED
};

#define ENDPOINT_CERTS_MAX 16 /* OpenSSL has one for each of nine types of key */

/* What libssl is asking the security callback, cipher by cipher, algorithm by algorithm. */
typedef struct endpoint_question {
    int op; /* SSL_SECOP_... */
    OSSL_HANDSHAKE_STATE state;
} endpoint_question;

typedef struct endpoint {
    void (*next_info)(const SSL *, int, int); /* the SSL's own, or NULL for its context's */
    unsigned char telling;                    /* the application's, just now: how deep */
    BIO *wbio;                                /* the SSL's own, after that was cut off; or NULL */
    const SSL_CTX *ctx; /* the SSL's when its certificates were looked at; compared, never used */
    X509 *current;      /* its current certificate then */
    X509 *seen[ENDPOINT_CERTS_MAX]; /* and all that have a key */
    size_t seen_count;
    consul_leaf *ours; /* the leaf that endpoint_present_leaf has put there, or NULL */
    /* What the application's own certificates make of it; one of these, or none: */
    X509 *leaf;                 /* a Connect leaf, presented as it is */
    const consul_uri *stand_in; /* what a stand-in stands for, or by which URI `leaf` was loaded */

    /* Of the handshake that is going on: */
    bool begun; /* what follows is set */
    bool stopped;
    bool held_back;                         /* it may not write yet */
    unsigned char random[SSL3_RANDOM_SIZE]; /* this end's, of which each handshake has its own */
    endpoint_question question;
    bool asked;          /* the agent may have been asked, */
    int64_t asked_since; /* in microseconds, from this moment on */
    int64_t waited;      /* for the agent, in milliseconds */
    bool unknown;        /* it has no certificate yet, and resumes nothing */
    bool prepared;       /* the SSL has been set up for it */
    consul_store *store; /* who answers; NULL when no provider is active or it is unusable */
    bool unusable;       /* which is the one and not the other */
    enum endpoint_rule rule;
    enum endpoint_peer peer;
    bool reported;    /* why it is refused */
    bool has_service; /* a live leaf is presented: the stand-in's, or of the configured service */
    bool has_wanted;  /* the host name asks for this service: */
    consul_service wanted;
    bool host_is_service; /* the SPIFFE ID answers the host check that was left to OpenSSL */
} endpoint;

/* Register with OpenSSL; 0 on failure. Safe in provider init. */
int endpoint_init(void);

/* The endpoint of an SSL, made if there is none; NULL without memory. Owned by the SSL. */
endpoint *endpoint_get(SSL *ssl);
endpoint *endpoint_find(const SSL *ssl); /* the same, but that none is made */

#endif
