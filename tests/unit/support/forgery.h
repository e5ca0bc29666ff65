/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates that a hostile peer may show, and chains of them. One table has them all, each with its right
 * verdict and the rule behind it. The unit tests and the programs of tests/e2e show the same rows.
 *
 * Each row is a leaf of the service "friend", unless its name tells otherwise. A row is forged with the key of the
 * mesh's own CA, or with a foreign one. Nothing of a foreign key is ever served.
 */
#ifndef CONSUL_TEST_FORGERY_H
#define CONSUL_TEST_FORGERY_H

#include "mint.h"

#define FORGERY_CAS_MAX 2

/* The roles of a peer, as a set. */
enum forgery_role { FORGERY_CLIENT = 1, FORGERY_SERVER = 2, FORGERY_BOTH = 3 };

typedef struct forged {
    minted leaf;
    STACK_OF(X509) *chain; /* to be sent behind the leaf */
} forged;

/* The makers of one row: its root, and the texts of its orders with their tokens filled in. */
typedef struct forger forger;

/*
 * A row. The texts of an order have tokens: {td} is the trust domain, and {id} the SPIFFE ID of the service. {long}
 * stands for 60,000 letters.
 */
typedef struct forgery {
    const char *name;
    const char *rule;           /* the source of the right verdict */
    unsigned int served;        /* the roles in which the peer is to be served */
    const char *refused_anyway; /* the reason for a refusal beyond the rule, or NULL */
    const char *id;             /* the SPIFFE ID that the agent is asked about; NULL for {id} */
    const char *key, *ca_key;   /* kinds of keys, "RSA 1024" say; NULL for P-256 */
    mint_order leaf;            /* its name is {id} unless it has any */
    bool no_id;                 /* no name at all */
    int depth;                  /* CAs between the root and the leaf */
    mint_order cas[FORGERY_CAS_MAX];
    void (*build)(forger *f, forged *result);   /* makes leaf and chain in another way */
    void (*arrange)(forger *f, forged *result); /* changes the chain that is sent */
} forgery;

/* Return the row of this number, or NULL behind the last one. */
const forgery *forgery_at(size_t number);

/* Forge a row for this service. The first CA signs; `root` has the names of the mesh's root. */
forged forge(const forgery *row, const minted *root, const char *trust_domain, const char *service);
void forged_free(forged *one);

/* Return true where a peer of this row is served in this role, by the mesh's own key. */
bool forgery_is_served(const forgery *row, enum forgery_role role);

/* Make a CA outside the mesh, with the subject and the key identifier of this one. */
minted forgery_foreign_root(const minted *root, const char *trust_domain);

/* Write the SPIFFE ID that the agent is asked about. */
void forgery_id(const forgery *row, const char *trust_domain, const char *service, char id[512]);

/* ---- for the makers of rows ---- */

struct forger {
    const forgery *row;
    const minted *root;
    const char *trust_domain, *service;
    char *texts[64]; /* of orders; freed with the forger */
    int texts_count;
    minted cas[FORGERY_CAS_MAX];
};

/* Mint by an order with tokens, with a key of this kind or NULL. */
minted forge_one(forger *f, const minted *issuer, mint_order order, const char *key);
void forge_push(forged *result,
                X509 *cert); /* to the end of the chain, with a reference of its own */

#endif
