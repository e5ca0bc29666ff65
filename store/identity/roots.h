/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roots of the mesh at one moment. Roots are shared, immutable and reference-counted, so that
 * any thread may use them. They stay valid in a forked child.
 */
#ifndef CONSUL_IDENTITY_ROOTS_H
#define CONSUL_IDENTITY_ROOTS_H

#include "base/error.h"
#include "identity/digest.h"

#include <stdbool.h>

#include <openssl/x509.h>

typedef struct consul_roots consul_roots;

/* Return empty roots with one reference, for their decoder to fill. Return NULL without memory. */
consul_roots *consul_roots_new(OSSL_LIB_CTX *libctx, consul_error *err);

/* Add a reference, and return the roots. Drop a reference; NULL is allowed. */
consul_roots *consul_roots_ref(consul_roots *roots);
void consul_roots_unref(consul_roots *roots);

/* Return a part of the roots, borrowed. Decoded roots have one certificate at least. */
const char *consul_roots_trust_domain(const consul_roots *roots);
const STACK_OF(X509) *consul_roots_certs(const consul_roots *roots);

/* Return true where `cert` is one of the roots, byte by byte. */
bool consul_roots_contain(const consul_roots *roots, const X509 *cert);

/*
 * Verify that `cert` chains to these roots, now, for `purpose` (X509_PURPOSE_…). No other anchor
 * counts. `level` is OpenSSL's security level. `untrusted` has certificates for the chain, or is
 * NULL. Return 1 with `*chain`, which the caller frees, and with the digest of all its
 * certificates. The digest is zeros without memory. Return 0 with an error, and with an X509_V_ERR_
 * code in `*x509_error`. `chain`, `digest` and `x509_error` may be NULL.
 */
int consul_roots_verify(const consul_roots *roots, X509 *cert, STACK_OF(X509) *untrusted,
                        int purpose, int level, STACK_OF(X509) **chain,
                        unsigned char digest[CONSUL_DIGEST_LEN], int *x509_error,
                        consul_error *err);

#endif
