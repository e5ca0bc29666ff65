/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stand-ins: certificates that name the service whose live leaf takes their place. A program that
 * takes only files loads one instead of a leaf. Pure functions, for any thread.
 */
#ifndef CONSUL_IDENTITY_STAND_IN_H
#define CONSUL_IDENTITY_STAND_IN_H

#include "identity/uri.h"

#include <openssl/x509.h>

/*
 * Return true where a certificate is a stand-in. `*uri` becomes its subjectAltName
 * URI:consul:leaf/<service>. Any other consul: URI makes a stand-in too, and so does the key of
 * stand-ins. `*uri` names no service then, and its kind is not CONSUL_URI_LEAF.
 */
bool consul_cert_stands_in(const X509 *cert, consul_uri *uri);

/*
 * Return true where a certificate has no URI and not the key of stand-ins, as nearly all others. It is no stand-in and claims no
 * SPIFFE ID then. This is known at less cost than either. False says nothing.
 */
bool consul_cert_is_plain(const X509 *cert);

/* Return true for the key of stand-ins. */
bool consul_key_stands_in(const EVP_PKEY *key);

/*
 * The content of the key file of every stand-in, as PKCS#8 (RFC 5208). Only the provider reads it. Its algorithm is
 * ours, with an identifier made of a UUID (ITU-T X.667). Its key is the text "consul:leaf". The block is the same
 * as PEM.
 */
#define CONSUL_STAND_IN_OID "2.25.1082103380070351329453495755653024905"
#define CONSUL_STAND_IN_LINE "MCcCAQAwFQYTaYHQs/SazKKugan2hoKTjfKZCQQLY29uc3VsOmxlYWY="
#define CONSUL_STAND_IN_BLOCK \
    "-----BEGIN PRIVATE KEY-----\n" CONSUL_STAND_IN_LINE "\n-----END PRIVATE KEY-----\n"
#define CONSUL_STAND_IN_FILE_LEN 41
extern const unsigned char consul_stand_in_file[CONSUL_STAND_IN_FILE_LEN];

/* The key that it is read as, as PKCS#8. Its private half on P-256 is the number 1. */
#define CONSUL_STAND_IN_KEY_LEN 138
extern const unsigned char consul_stand_in_key[CONSUL_STAND_IN_KEY_LEN];

#endif
