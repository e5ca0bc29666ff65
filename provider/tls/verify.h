/* Is this peer who it says, and may it connect? */
#ifndef PROV_TLS_VERIFY_H
#define PROV_TLS_VERIFY_H

#include <openssl/ssl.h>

/* An SSL_CTX_set_cert_verify_callback: all of libssl's peer verifications. */
int prov_verify_peer(X509_STORE_CTX *ctx, void *arg);

#endif
