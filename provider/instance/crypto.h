/* SPDX-License-Identifier: Apache-2.0 */
/* The cryptography that comes with the provider. */
#ifndef PROV_INSTANCE_CRYPTO_H
#define PROV_INSTANCE_CRYPTO_H

#include "instance/instance.h"

/*
 * Load the provider that the setting `crypto` names into the instance's library context. Returns 0 on
 * failure. The instance gives it back by prov_crypto_release.
 */
int prov_crypto_bring(prov_instance *prov, consul_error *err);
void prov_crypto_release(prov_instance *prov);

/* Have OpenSSL end the instance before the provider that it has brought. Any thread. */
void prov_crypto_sort(prov_instance *prov);

/*
 * Look for `fips` beside a `default` that was brought unasked. Called for each SSL_CTX, which then takes its ciphers.
 * A look takes locks of OpenSSL, and is dear to a handshake. Any thread.
 */
void prov_crypto_look(void);

/*
 * Return 0 if the last look has found both, and no default property keeps the two apart. A program that asks for
 * `fips` must not get `default`. Under no lock; any thread.
 */
int prov_crypto_check(consul_error *err);

#endif
