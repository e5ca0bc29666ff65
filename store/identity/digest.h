/* Digests of answers and of chains. Pure functions; any thread. */
#ifndef CONSUL_IDENTITY_DIGEST_H
#define CONSUL_IDENTITY_DIGEST_H

#include <stdbool.h>

#define CONSUL_DIGEST_LEN 32 /* SHA-256 */

/* There is none where all are zeros. */
bool consul_digest_is_set(const unsigned char digest[CONSUL_DIGEST_LEN]);

#endif
