/* PEM to X509 and EVP_PKEY. Any thread. */
#ifndef CONSUL_IDENTITY_CERT_H
#define CONSUL_IDENTITY_CERT_H

#include "base/error.h"

#include <stdbool.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#define CONSUL_CERTS_MAX 64 /* certificates in one answer */

bool consul_certs_contain(const STACK_OF(X509) *certs, const X509 *cert);

/* Append every certificate of a PEM text to `certs`, leaving out exact duplicates. */
int consul_certs_parse(const char *pem, OSSL_LIB_CTX *libctx, STACK_OF(X509) *certs,
                       consul_error *err);

/*
 * OpenSSL reads a certificate also where it has no memory left for its key or its extensions, and does
 * not try again: it is of no use then, for as long as it is kept. So is one whose key or extensions
 * OpenSSL does not know at all.
 */
bool consul_certs_are_usable(const STACK_OF(X509) *certs);

/* The private key of an unencrypted PEM text (SEC1, PKCS#1 or PKCS#8); NULL on error. */
EVP_PKEY *consul_key_parse(const char *pem, OSSL_LIB_CTX *libctx, consul_error *err);

/* The serial number as Consul writes it: lower-case hexadecimal bytes joined by colons. */
char *consul_cert_serial(const X509 *cert, consul_error *err); /* free with OPENSSL_free */

#endif
