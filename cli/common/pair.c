/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pair.h"

#include "identity/stand_in.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/x509v3.h>

#define DAYS 36500         /* of the certificate, which no peer verifies */
#define COMMON_NAME_MAX 64 /* RFC 5280, ub-common-name */

EVP_PKEY *cli_pair_key(void)
{
    const unsigned char *der = consul_stand_in_key;

    return d2i_AutoPrivateKey(NULL, &der, CONSUL_STAND_IN_KEY_LEN);
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool ok = extension != NULL && X509_add_ext(cert, extension, -1);

    X509_EXTENSION_free(extension);
    return ok;
}

/* Add the URI as it is: OpenSSL's own syntax would read a comma or a colon in it. */
static bool add_uri(X509 *cert, const char *uri)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    bool ok = names != NULL && name != NULL && text != NULL && ASN1_STRING_set(text, uri, -1);

    if (ok) {
        GENERAL_NAME_set0_value(name, GEN_URI, text);
        text = NULL;
        ok = sk_GENERAL_NAME_push(names, name) > 0;
        name = ok ? NULL : name;
    }
    ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) > 0;
    ASN1_IA5STRING_free(text);
    GENERAL_NAME_free(name);
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return ok;
}

static bool name_cert(X509 *cert, const char *service)
{
    const char *shown = strlen(service) > COMMON_NAME_MAX ? "stand-in" : service;
    X509_NAME *name = X509_get_subject_name(cert);

    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)shown, -1,
                                      -1, 0)
           && X509_set_issuer_name(cert, name);
}

X509 *cli_pair_cert(const char *service, const char *uri, EVP_PKEY *key)
{
    BIGNUM *serial = BN_new();
    X509 *cert = X509_new();
    bool ok = cert != NULL && serial != NULL && BN_rand(serial, 159, BN_RAND_TOP_ONE, 0)
              && BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) != NULL
              && X509_set_version(cert, X509_VERSION_3)
              && X509_gmtime_adj(X509_getm_notBefore(cert), -86400) != NULL
              && X509_time_adj_ex(X509_getm_notAfter(cert), DAYS, 0, NULL) != NULL
              && name_cert(cert, service) && X509_set_pubkey(cert, key)
              && add_extension(cert, NID_basic_constraints, "critical,CA:FALSE")
              && add_uri(cert, uri) && X509_sign(cert, key, EVP_sha256()) > 0;

    BN_free(serial);
    if (ok)
        return cert;
    X509_free(cert);
    return NULL;
}
