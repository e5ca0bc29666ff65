/* SPDX-License-Identifier: Apache-2.0 */
/* Digests of answers and of chains, in arrays of their owners. Pure functions, for any thread. */
#ifndef CONSUL_IDENTITY_DIGEST_H
#define CONSUL_IDENTITY_DIGEST_H

#include <stdbool.h>

#define CONSUL_DIGEST_LEN 32 /* SHA-256 */

/* Return true unless all bytes are zeros, which stand for a missing digest. */
bool consul_digest_is_set(const unsigned char digest[CONSUL_DIGEST_LEN]);

#endif
