/* Chains of certificates whose signatures were verified, kept with the roots they lead to. Any thread. */
#ifndef CONSUL_IDENTITY_SIGNATURES_H
#define CONSUL_IDENTITY_SIGNATURES_H

#include "identity/roots.h"

typedef struct consul_signatures consul_signatures;

consul_signatures *consul_signatures_new(void); /* of none yet; NULL without memory */
void consul_signatures_free(consul_signatures *verified);

/*
 * X509_verify_cert, but that those of its signatures which were verified before are not verified again.
 * `digest` becomes that of the whole chain; zeros without memory or where there is no chain.
 */
int consul_verify_remembering(X509_STORE_CTX *ctx, consul_signatures *verified,
                              unsigned char digest[CONSUL_DIGEST_LEN]);

#endif
