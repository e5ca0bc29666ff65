/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the table of certificates, and the words of its rows. The rules are RFC 5280 with its path validation
 * (6.1), and RFC 8446 for the chain that is sent. The X509-SVID text of SPIFFE asks for that validation in 5.1. Consul
 * has its own forms of names.
 */
#ifndef CONSUL_TEST_FORGERY_TABLE_H
#define CONSUL_TEST_FORGERY_TABLE_H

#include "forgery_tricks.h"

#include <openssl/x509v3.h>

#define BOTH FORGERY_BOTH
#define AS_CLIENT FORGERY_CLIENT
#define AS_SERVER FORGERY_SERVER

#define OURS "the provider: no other name of a leaf counts for anything"
#define SVID_ONE "X509-SVID 2: exactly one URI"
#define SVID_KU "X509-SVID 4.3, 5.2: key usage of a leaf"
#define SVID_ID "SPIFFE-ID 2: characters of a SPIFFE ID"
#define CONSUL_ID "Consul: the SPIFFE ID of a service"
#define ONCE "RFC 5280 4.2: one instance of an extension"
#define DER "RFC 5280 4.2: an extension is DER"
#define LEVEL "OpenSSL: security level 2 of Debian, SSL_CTX_set_security_level(3)"

#define URI(text)                       \
    {                                   \
        .names = { {GEN_URI, text, 0} } \
    }
#define PATH "/ns/default/dc/dc1/svc/friend"
#define ID_NAME            \
    {                      \
        GEN_URI, "{id}", 0 \
    }

/* A row without a name ends each part. */
extern const forgery forgeries_of_names[], forgeries_of_uses[], forgeries_of_chains[];

#endif
