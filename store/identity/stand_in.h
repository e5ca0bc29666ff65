/* Stand-ins: certificates that say which live leaf takes their place. Pure functions; any thread. */
#ifndef CONSUL_IDENTITY_STAND_IN_H
#define CONSUL_IDENTITY_STAND_IN_H

#include "identity/uri.h"

#include <openssl/x509.h>

/*
 * Is this certificate a stand-in, which a program that takes only files loads in the place of a
 * leaf? It has a subjectAltName URI:consul:leaf/<service>; then `uri` is what that says. Any other
 * consul: URI is a claim too, and so is the key of stand-ins: their kind is not CONSUL_URI_LEAF.
 */
bool consul_cert_stands_in(const X509 *cert, consul_uri *uri);

/*
 * The key of all stand-ins whose key file only we can read: on P-256 the one whose private half is
 * the number 1, as PKCS#8 (RFC 5208).
 */
#define CONSUL_STAND_IN_KEY_LEN 138
extern const unsigned char consul_stand_in_key[CONSUL_STAND_IN_KEY_LEN];

#endif
