/* SPDX-License-Identifier: Apache-2.0 */
/* The private keys of stand-ins, as OSSL_DECODER, and the name of their algorithm. */
#ifndef PROV_URI_STAND_IN_KEY_H
#define PROV_URI_STAND_IN_KEY_H

#include <openssl/core.h>

extern const OSSL_ALGORITHM prov_keymgmt_algorithms[];
extern const OSSL_ALGORITHM prov_decoder_algorithms[];

#endif
