/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/stand_in.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define URI_TAG (0x80 | GEN_URI) /* RFC 5280, GeneralName: [6] IMPLICIT IA5String */

#define X_LEN 32 /* bytes of an integer on P-256 */
#define POINT_LEN \
    (1 + 2 * X_LEN) /* of the public key without compression, at the end of the PKCS#8 key */

const unsigned char consul_stand_in_file[CONSUL_STAND_IN_FILE_LEN] = {
    0x30, 0x27, 0x02, 0x01, 0x00, 0x30, 0x15, 0x06, 0x13, 0x69, 0x81, 0xd0, 0xb3, 0xf4,
    0x9a, 0xcc, 0xa2, 0xae, 0x81, 0xa9, 0xf6, 0x86, 0x82, 0x93, 0x8d, 0xf2, 0x99, 0x09,
    0x04, 0x0b, 0x63, 0x6f, 0x6e, 0x73, 0x75, 0x6c, 0x3a, 0x6c, 0x65, 0x61, 0x66,
};

const unsigned char consul_stand_in_key[CONSUL_STAND_IN_KEY_LEN] = {
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
    0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02,
    0x01, 0x01, 0x04, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x01, 0xa1, 0x44, 0x03, 0x42, 0x00, 0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c,
    0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb,
    0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a,
    0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31,
    0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
};

/*
 * Return the length of the URI that begins at `text`, by the DER before it. Return 0 for other
 * bytes.
 */
static size_t length_of_uri(const unsigned char *begin, const unsigned char *text)
{
    size_t before = (size_t)(text - begin);

    if (before >= 2 && text[-2] == URI_TAG && text[-1] < 0x80)
        return text[-1];
    if (before >= 3 && text[-3] == URI_TAG && text[-2] == 0x81)
        return text[-1];
    if (before >= 4 && text[-4] == URI_TAG && text[-3] == 0x82)
        return (size_t)text[-2] << 8 | text[-1];
    return 0;
}

/* Have the URI name no service. */
static void name_nothing(consul_uri *uri)
{
    memset(uri, 0, sizeof(*uri));
    uri->kind = CONSUL_URI_ROOTS;
}

/* Parse a consul: URI of a certificate. A malformed URI names no service. */
static void parse(const unsigned char *text, size_t len, consul_uri *uri)
{
    char copy[CONSUL_URI_MAX + 1];

    name_nothing(uri);
    if (len > CONSUL_URI_MAX || memchr(text, '\0', len) != NULL)
        return;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (!consul_uri_parse(copy, uri, NULL))
        name_nothing(uri);
}

/*
 * Count the consul: URIs in OpenSSL's reading of an extension. OpenSSL reads more than DER allows:
 * long forms of a length, and texts in pieces. An extension that cannot be decoded, for lack of
 * memory too, counts as a stand-in without a service.
 */
static int count_decoded(const X509_EXTENSION *ext, consul_uri *uri)
{
    GENERAL_NAMES *names;
    int i, type, count = 0;

    ERR_set_mark();
    names = X509V3_EXT_d2i((X509_EXTENSION *)ext);
    ERR_pop_to_mark();
    if (names == NULL) {
        name_nothing(uri);
        return 1;
    }
    for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        const unsigned char *text = type == GEN_URI ? ASN1_STRING_get0_data(value) : NULL;

        if (text != NULL && ASN1_STRING_length(value) >= 7
            && consul_find_word(text, 7, "consul:") == text) {
            parse(text, (size_t)ASN1_STRING_length(value), uri);
            count++;
        }
    }
    GENERAL_NAMES_free(names);
    return count;
}

/*
 * Return true for bytes that may hold a URI outside DER. Nearly all certificates save the decoding.
 */
static bool is_irregular(const unsigned char *begin, size_t len)
{
    size_t i;

    for (i = 0; i + 1 < len; i++) {
        if (begin[i] == (URI_TAG | V_ASN1_CONSTRUCTED)
            || (begin[i] == URI_TAG && begin[i + 1] > 0x82))
            return true;
    }
    return false;
}

/*
 * Return true for the public key of stand-ins, in each of its forms (SEC 1, 2.3.3): its x is enough. The other point with
 * that x has a private key that is as public.
 */
static bool is_the_key(const unsigned char *point, size_t len)
{
    return (len == POINT_LEN || len == 1 + X_LEN)
           && memcmp(point + 1, consul_stand_in_key + CONSUL_STAND_IN_KEY_LEN - 2 * X_LEN, X_LEN)
                  == 0;
}

/*
 * Return true for a certificate with the public key of stand-ins. Its private key is public, so that the certificate
 * can be nothing else, whatever its names are.
 */
static bool has_the_key(const X509 *cert)
{
    const ASN1_BIT_STRING *key = X509_get0_pubkey_bitstr(cert);

    return key != NULL && is_the_key(ASN1_STRING_get0_data(key), (size_t)ASN1_STRING_length(key));
}

bool consul_key_stands_in(const EVP_PKEY *key)
{
    unsigned char *point = NULL;
    size_t len;
    bool same;

    ERR_set_mark(); /* of a key of another type */
    len = EVP_PKEY_get1_encoded_public_key((EVP_PKEY *)key, &point);
    ERR_pop_to_mark();
    same = is_the_key(point, len);
    OPENSSL_free(point);
    return same;
}

/* Return true for bytes in which a name may be a URI, in whatever form. A URI has a colon, and its tag comes before it. */
static bool may_have_uri(const unsigned char *bytes, size_t len)
{
    return len != 0
           && (memchr(bytes, ':', len) != NULL || memchr(bytes, URI_TAG, len) != NULL
               || memchr(bytes, URI_TAG | V_ASN1_CONSTRUCTED, len) != NULL);
}

bool consul_cert_is_plain(const X509 *cert)
{
    const ASN1_OBJECT *names = OBJ_nid2obj(NID_subject_alt_name);
    int index = -1;

    while ((index = X509_get_ext_by_OBJ(cert, names, index)) >= 0) {
        const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(X509_get_ext(cert, index));

        if (may_have_uri(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)))
            return false;
    }
    return !has_the_key(cert);
}

/*
 * Search the bytes, and do not decode them, which would take memory. Without memory, a stand-in
 * must not look like an ordinary certificate.
 */
bool consul_cert_stands_in(const X509 *cert, consul_uri *uri)
{
    int index = -1, count = 0;

    while ((index = X509_get_ext_by_NID(cert, NID_subject_alt_name, index)) >= 0) {
        const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(X509_get_ext(cert, index));
        const unsigned char *begin = ASN1_STRING_get0_data(value), *found = begin;
        const unsigned char *end = begin + ASN1_STRING_length(value);

        while ((found = consul_find_word(found, (size_t)(end - found), "consul:")) != NULL) {
            size_t len = length_of_uri(begin, found);

            if (len > 0 && len <= (size_t)(end - found)) {
                parse(found, len, uri);
                count++;
            }
            found++;
        }
        if (count == 0 && is_irregular(begin, (size_t)(end - begin)))
            count += count_decoded(X509_get_ext(cert, index), uri);
    }
    if (count != 1) /* the service is ambiguous or missing */
        name_nothing(uri);
    return count != 0 || has_the_key(cert);
}
