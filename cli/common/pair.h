/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate and the key of a stand-in, in memory. Any thread. */
#ifndef CLI_COMMON_PAIR_H
#define CLI_COMMON_PAIR_H

#include "identity/uri.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/* Write the URI of the leaf of a service, with its scope; "" where it does not fit. */
void cli_pair_uri(const consul_service *service, char uri[CONSUL_URI_MAX]);

/* Return the key of all stand-ins; NULL without memory or cryptography. */
EVP_PKEY *cli_pair_key(void);

/* Return a certificate of that key for a service, with the URI of its leaf; NULL likewise. */
X509 *cli_pair_cert(const char *service, const char *uri, EVP_PKEY *key);

#endif
