/* The roots of the mesh at one moment; shared, immutable, reference-counted. Any thread. */
#ifndef CONSUL_IDENTITY_ROOTS_H
#define CONSUL_IDENTITY_ROOTS_H

#include "base/error.h"
#include "identity/digest.h"

#include <stdbool.h>

#include <openssl/x509.h>

typedef struct consul_roots consul_roots;

consul_roots *consul_roots_new(OSSL_LIB_CTX *libctx, consul_error *err); /* empty */
consul_roots *consul_roots_ref(consul_roots *roots);
void consul_roots_unref(consul_roots *roots);
const char *consul_roots_trust_domain(const consul_roots *roots);    /* borrowed */
const STACK_OF(X509) *consul_roots_certs(const consul_roots *roots); /* borrowed, never empty */
bool consul_roots_contain(const consul_roots *roots, const X509 *cert);

/*
 * Verify that `cert` chains to these roots and to nothing else, now, for `purpose`
 * (X509_PURPOSE_…), at OpenSSL security level `level`. `untrusted` (may be NULL) helps to build
 * the chain. On success `*chain` (if not NULL) is the verified chain, to be freed by the caller, and
 * `digest` (if not NULL) that of all its certificates, or zeros for want of memory.
 * On failure `*x509_error` (if not NULL) is an X509_V_ERR_ code.
 */
int consul_roots_verify(const consul_roots *roots, X509 *cert, STACK_OF(X509) *untrusted,
                        int purpose, int level, STACK_OF(X509) **chain,
                        unsigned char digest[CONSUL_DIGEST_LEN], int *x509_error,
                        consul_error *err);

#endif
