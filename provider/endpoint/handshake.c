/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/handshake.h"

#include "endpoint/fields.h"

#include <string.h>

static inline void get_random(const SSL *ssl, unsigned char random[SSL3_RANDOM_SIZE])
{
    memset(random, 0, SSL3_RANDOM_SIZE);
    if (SSL_is_server(ssl))
        SSL_get_server_random(ssl, random, SSL3_RANDOM_SIZE);
    else
        SSL_get_client_random(ssl, random, SSL3_RANDOM_SIZE);
}

void endpoint_note_handshake(endpoint *e, const SSL *ssl)
{
    get_random(ssl, e->random);
}

bool endpoint_is_same_handshake(const endpoint *e, const SSL *ssl)
{
    unsigned char now[SSL3_RANDOM_SIZE];

    get_random(ssl, now);
    return memcmp(e->random, now, sizeof(now)) == 0;
}

bool endpoint_knows_handshake(const endpoint *e)
{
    static const unsigned char none[SSL3_RANDOM_SIZE];

    return memcmp(e->random, none, sizeof(none)) != 0;
}
