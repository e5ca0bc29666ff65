/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake that an endpoint is in. Its random number tells: libssl makes it for each handshake, and no peer chooses
 * it. It is all zero until it is made. In the thread that drives the SSL.
 */
#ifndef PROV_ENDPOINT_HANDSHAKE_H
#define PROV_ENDPOINT_HANDSHAKE_H

#include "endpoint/endpoint.h"

/* Note the handshake that is going on. */
void endpoint_note_handshake(endpoint *e, const SSL *ssl);

/* Return true if the SSL is in the noted handshake. */
bool endpoint_is_same_handshake(const endpoint *e, const SSL *ssl);

/* Return true if the noted handshake had its random number. */
bool endpoint_knows_handshake(const endpoint *e);

#endif
