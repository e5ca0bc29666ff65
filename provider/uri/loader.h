/* SPDX-License-Identifier: Apache-2.0 */
/* consul: URIs, as an OSSL_STORE loader. */
#ifndef PROV_URI_LOADER_H
#define PROV_URI_LOADER_H

#include <openssl/core.h>

extern const OSSL_ALGORITHM prov_loader_algorithms[];

#endif
