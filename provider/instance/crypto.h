/* The cryptography that comes with the provider. */
#ifndef PROV_INSTANCE_CRYPTO_H
#define PROV_INSTANCE_CRYPTO_H

#include "instance/instance.h"

/*
 * Load what the setting `crypto` says into the instance's library context. 0 where that can not be
 * loaded. An instance that has brought something gives it back by prov_crypto_release.
 */
int prov_crypto_bring(prov_ctx *prov, consul_error *err);
void prov_crypto_release(prov_ctx *prov);

/* Once the instance is OpenSSL's: make its end come before that of what it has brought. Any thread. */
void prov_crypto_sort(prov_ctx *prov);

/*
 * 0 where `fips` has come after `default` was brought unasked, and nothing keeps the two apart: who
 * wants the one must not be given the other. Under no lock; any thread.
 */
int prov_crypto_check(consul_error *err);

#endif
