/* The leaf of one service at one moment; shared, immutable, reference-counted. Any thread. */
#ifndef CONSUL_IDENTITY_LEAF_H
#define CONSUL_IDENTITY_LEAF_H

#include "identity/spiffe.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/* One service's leaf at one moment: private key, certificate and intermediates. */
typedef struct consul_leaf consul_leaf;

consul_leaf *consul_leaf_ref(consul_leaf *leaf);
void consul_leaf_unref(consul_leaf *leaf);
EVP_PKEY *consul_leaf_key(const consul_leaf *leaf);               /* borrowed */
X509 *consul_leaf_cert(const consul_leaf *leaf);                  /* borrowed */
const STACK_OF(X509) *consul_leaf_chain(const consul_leaf *leaf); /* borrowed; intermediates */
const consul_spiffe_id *consul_leaf_id(const consul_leaf *leaf);  /* borrowed */

#endif
