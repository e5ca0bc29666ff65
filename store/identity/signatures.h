/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chains of certificates whose signatures were verified, kept with the roots at their end.
 *
 * The signatures are nearly the whole cost of the verification of a chain. Most chains came before.
 * They take a sixth of the instructions of a handshake of both ends (OpenSSL 3.0, P-256).
 *
 * The bytes of a chain alone decide whether the key of each certificate has signed the one before.
 * The time, the purpose and the caller do not matter. So only that result is kept, for the life of
 * these roots. It belongs to the exact bytes of the whole chain, root included. OpenSSL builds the
 * chain each time, and checks names, extensions, purpose, key strength and path lengths. The
 * validity times and the signatures are left for this file. It checks the times each time.
 *
 * Any thread. No thread waits: a thread that finds a place in use verifies the signatures itself.
 * So does a child whose fork came just then.
 */
#ifndef CONSUL_IDENTITY_SIGNATURES_H
#define CONSUL_IDENTITY_SIGNATURES_H

#include "identity/roots.h"

typedef struct consul_signatures consul_signatures;

/* Return an empty set of chains. Return NULL without memory. */
consul_signatures *consul_signatures_new(void);

/* Free the set. NULL is allowed. */
void consul_signatures_free(consul_signatures *verified);

/*
 * Verify like X509_verify_cert, and return its result. Signatures of chains in `verified` are not
 * verified again. `digest` becomes the digest of the whole chain. It is zeros without memory or
 * without a chain.
 */
int consul_verify_remembering(X509_STORE_CTX *ctx, consul_signatures *verified,
                              unsigned char digest[CONSUL_DIGEST_LEN]);

#endif
