/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider's section of openssl.cnf, as OpenSSL's core hands it over: only what is asked for by name.
 * Values are borrowed while the provider is loaded. Any thread.
 */
#ifndef PROV_CONFIG_SECTION_H
#define PROV_CONFIG_SECTION_H

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/types.h>

/* The core of OpenSSL, as an instance was given it. All fields are borrowed. */
typedef struct prov_core {
    OSSL_LIB_CTX *libctx;
    const OSSL_CORE_HANDLE *handle;
    OSSL_FUNC_core_get_params_fn *get_params;
    OSSL_FUNC_BIO_read_ex_fn *bio_read_ex;
    OSSL_FUNC_BIO_ctrl_fn *bio_ctrl;
} prov_core;

/* Return the value of a setting as it stands there; NULL without a row. */
const char *prov_section_value(const prov_core *core, const char *name);

/* Return the value of "<table>.<row>"; NULL without that row. */
const char *prov_section_row(const prov_core *core, const char *table, const char *row);

#endif
