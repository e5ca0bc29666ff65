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
 * The key of all stand-ins whose key file only the provider reads, as PKCS#8 (RFC 5208). Its
 * private half on P-256 is the number 1.
 */
#define CONSUL_STAND_IN_KEY_LEN 138
extern const unsigned char consul_stand_in_key[CONSUL_STAND_IN_KEY_LEN];

#endif
