/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate and the key of a stand-in, in memory. Any thread. */
#ifndef CLI_COMMON_PAIR_H
#define CLI_COMMON_PAIR_H

#include <openssl/evp.h>
#include <openssl/x509.h>

/* Return the key of all stand-ins; NULL without memory or cryptography. */
EVP_PKEY *cli_pair_key(void);

/* Return a certificate of that key for a service, with the URI of its leaf; NULL likewise. */
X509 *cli_pair_cert(const char *service, const char *uri, EVP_PKEY *key);

#endif
