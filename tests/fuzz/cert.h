/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates as a peer or an agent may send them. The first byte of an input chooses the meaning of the rest. It is
 * a whole certificate in DER, or the content of subjectAltName in one. Without a parser in between, the second kind
 * reaches deeper. One thread.
 */
#ifndef CONSUL_FUZZ_CERT_H
#define CONSUL_FUZZ_CERT_H

#include "fuzz.h"

#include <stdbool.h>

#include <openssl/x509v3.h>

/* Return a certificate with this content of its subjectAltName, and without a key or a signature. */
static inline X509 *fuzz_cert_with_names(const uint8_t *data, size_t len)
{
    X509 *cert = X509_new();
    ASN1_OCTET_STRING *content = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension;

    REQUIRE(cert != NULL && content != NULL && ASN1_OCTET_STRING_set(content, data, (int)len));
    extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 1, content);
    REQUIRE(extension != NULL && X509_set_version(cert, 2) && X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(content);
    return cert;
}

/* Return the certificate of an input, for X509_free. Return NULL for other bytes. */
static inline X509 *fuzz_cert(const uint8_t *data, size_t size)
{
    const unsigned char *der = data + 1;
    X509 *cert;

    if (size < 2)
        return NULL;
    if ((*data & 1) != 0)
        return fuzz_cert_with_names(data + 1, size - 1);
    cert = d2i_X509(NULL, &der, (long)size - 1);
    ERR_clear_error();
    return cert;
}

/* Return true where OpenSSL reads a URI with this beginning in a subjectAltName. The case does not count. */
static inline bool fuzz_cert_has_uri(const X509 *cert, const char *beginning)
{
    size_t len = strlen(beginning);
    int index = -1, i;
    bool found = false;

    while ((index = X509_get_ext_by_NID(cert, NID_subject_alt_name, index)) >= 0) {
        GENERAL_NAMES *names = X509V3_EXT_d2i(X509_get_ext(cert, index));

        for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
            const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
            const ASN1_STRING *text = name->d.ia5;

            found |=
                name->type == GEN_URI && (size_t)ASN1_STRING_length(text) >= len
                && OPENSSL_strncasecmp((const char *)ASN1_STRING_get0_data(text), beginning, len)
                       == 0;
        }
        GENERAL_NAMES_free(names);
    }
    ERR_clear_error();
    return found;
}

#endif
