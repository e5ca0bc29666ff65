/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pair.h"

#include "identity/stand_in.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/x509v3.h>

#define DAYS 36500         /* of the certificate, which no peer verifies */
#define COMMON_NAME_MAX 64 /* RFC 5280, ub-common-name */

/* Append a text, with each byte escaped that may be special in a URI. */
static bool append(char uri[CONSUL_URI_MAX], const char *before, const char *text)
{
    size_t len = strlen(uri);

    if (*text == '\0')
        return true;
    len += (size_t)snprintf(uri + len, CONSUL_URI_MAX - len, "%s", before);
    for (; *text != '\0' && len + 4 < CONSUL_URI_MAX; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z')
                     || (*text >= '0' && *text <= '9') || strchr("-._~", *text) != NULL;

        len += (size_t)snprintf(uri + len, 4, plain ? "%c" : "%%%02X", (unsigned char)*text);
    }
    return *text == '\0';
}

void cli_pair_uri(const consul_service *service, char uri[CONSUL_URI_MAX])
{
    const consul_scope *scope = &service->scope;

    *uri = '\0';
    if (!append(uri, "consul:leaf/", service->name) || !append(uri, "?ns=", scope->ns)
        || !append(uri, *scope->ns == '\0' ? "?partition=" : "&partition=", scope->partition)
        || !append(uri,
                   *scope->ns == '\0' && *scope->partition == '\0' ? "?dc=" : "&dc=", scope->dc))
        *uri = '\0';
}

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
    X509_NAME *name = X509_NAME_new();
    bool ok = name != NULL
              && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)shown,
                                            -1, -1, 0)
              && X509_set_subject_name(cert, name) && X509_set_issuer_name(cert, name);

    X509_NAME_free(name);
    return ok;
}

/* Give it a random serial number of 20 bytes, RFC 5280 4.1.2.2. */
static bool number_cert(X509 *cert)
{
    BIGNUM *number = BN_new();
    ASN1_INTEGER *serial = NULL;
    bool ok = number != NULL && BN_rand(number, 159, BN_RAND_TOP_ONE, 0)
              && (serial = BN_to_ASN1_INTEGER(number, NULL)) != NULL
              && X509_set_serialNumber(cert, serial);

    ASN1_INTEGER_free(serial);
    BN_free(number);
    return ok;
}

X509 *cli_pair_cert(const char *service, const char *uri, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    bool ok = cert != NULL && number_cert(cert) && X509_set_version(cert, X509_VERSION_3)
              && X509_gmtime_adj(X509_getm_notBefore(cert), -86400) != NULL
              && X509_time_adj_ex(X509_getm_notAfter(cert), DAYS, 0, NULL) != NULL
              && name_cert(cert, service) && X509_set_pubkey(cert, key)
              && add_extension(cert, NID_basic_constraints, "critical,CA:FALSE")
              && add_uri(cert, uri) && X509_sign(cert, key, EVP_sha256()) > 0;

    if (ok)
        return cert;
    X509_free(cert);
    return NULL;
}
