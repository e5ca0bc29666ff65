/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and keys from the PEM texts of the agent (RFC 7468). Functions give objects to the
 * caller and keep no state, so that any thread may call them. OpenSSL's error queue stays as it
 * was.
 */
#ifndef CONSUL_IDENTITY_CERT_H
#define CONSUL_IDENTITY_CERT_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#define CONSUL_CERTS_MAX 64      /* certificates in one answer */
#define CONSUL_EXTENSIONS_MAX 64 /* extensions of a well-formed certificate */

/* Return true where `certs` has a certificate with the bytes of `cert`. */
bool consul_certs_contain(const STACK_OF(X509) *certs, const X509 *cert);

/*
 * Append every certificate of a PEM text to `certs`, without exact duplicates. Return 0 with an
 * error for a text without a certificate, or with one that cannot be read.
 */
int consul_certs_parse(const char *pem, OSSL_LIB_CTX *libctx, STACK_OF(X509) *certs,
                       consul_error *err);

/*
 * Return true where OpenSSL has the key and the extensions of each certificate. Without memory for
 * them OpenSSL reads a certificate all the same, and never tries again. Such a certificate is
 * useless. A certificate with an unknown key type or with invalid extensions is useless, too.
 */
bool consul_certs_are_usable(const STACK_OF(X509) *certs);

/*
 * Store the validity of a certificate, in seconds since 1970. `*begins` is its first second. `*ends` is the first second
 * after it, as X509_cmp_time has it. Both are 0 where a time cannot be read. Such a validity has no second.
 */
void consul_cert_validity(const X509 *cert, int64_t *begins, int64_t *ends);

/*
 * Return true for a certificate of version 3 that has each extension once. Each is one DER value (RFC 5280, 4.1.2.1
 * and 4.2). OpenSSL does not see to that. The libraries of Consul and Envoy refuse other certificates.
 */
bool consul_cert_is_well_formed(const X509 *cert);

#define CONSUL_DEPTH_MAX 100 /* certificates of a chain, as OpenSSL has it by default */

/*
 * Return true where a verified chain serves a purpose, X509_PURPOSE_SSL_CLIENT or X509_PURPOSE_SSL_SERVER. OpenSSL's own
 * table of purposes is the process's, and a program may have written to it (X509_PURPOSE_add). The anchor of other
 * certificates serves any purpose.
 */
bool consul_chain_serves(const STACK_OF(X509) *chain, int purpose);

/*
 * Return the private key of an unencrypted PEM text (SEC1, PKCS#1 or PKCS#8), for EVP_PKEY_free.
 * Return NULL with an error otherwise.
 */
EVP_PKEY *consul_key_parse(const char *pem, OSSL_LIB_CTX *libctx, consul_error *err);

/*
 * Return the serial number as Consul writes it, for OPENSSL_free: hexadecimal bytes in lower case,
 * joined by colons. Return NULL without memory.
 */
char *consul_cert_serial(const X509 *cert, consul_error *err);

#endif
