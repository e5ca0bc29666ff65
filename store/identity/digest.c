/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/digest.h"

#include <string.h>

bool consul_digest_is_set(const unsigned char digest[CONSUL_DIGEST_LEN])
{
    static const unsigned char none[CONSUL_DIGEST_LEN];

    return memcmp(digest, none, CONSUL_DIGEST_LEN) != 0;
}
