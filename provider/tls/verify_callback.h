/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The application's callback for verifications (SSL_CTX_set_verify), which is told of our result as of OpenSSL's. It may
 * refuse a peer that we accept, and cannot accept a peer that we refuse. It refuses in vain where libssl would not heed
 * it. In the thread that drives the SSL.
 */
#ifndef PROV_TLS_VERIFY_CALLBACK_H
#define PROV_TLS_VERIFY_CALLBACK_H

#include "tls/peer_check.h"

/* Tell it of each certificate of the verified chain. Return 0 with an error where it refuses the peer, or without memory. */
int prov_callback_hear_success(peer_check *check, consul_error *err);

/* Tell it of a refusal, unless it was its own. Its answer changes nothing. */
void prov_callback_hear_refusal(peer_check *check, const consul_error *err);

#endif
