/* SPDX-License-Identifier: Apache-2.0 */
#include "forgery_tricks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "trick: %s\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

/* ---- before the signature ---- */

void trick_serial_zero(X509 *cert)
{
    must(ASN1_INTEGER_set(X509_get_serialNumber(cert), 0), "a serial number");
}

void trick_serial_negative(X509 *cert)
{
    must(ASN1_INTEGER_set(X509_get_serialNumber(cert), -4711), "a serial number");
}

typedef size_t rewrite_fn(const unsigned char *old, size_t len, unsigned char *changed);

/* Change the bytes of an extension. */
static void rewrite(X509 *cert, int nid, rewrite_fn *how)
{
    X509_EXTENSION *extension = X509_delete_ext(cert, X509_get_ext_by_NID(cert, nid, -1));
    const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(extension);
    size_t len = (size_t)ASN1_STRING_length(data);
    unsigned char *changed = malloc(2 * len + 64);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();

    must(changed != NULL && value != NULL, "an extension");
    len = how(ASN1_STRING_get0_data(data), len, changed);
    must(ASN1_OCTET_STRING_set(value, changed, (int)len) == 1
             && X509_EXTENSION_set_data(extension, value) == 1
             && X509_add_ext(cert, extension, -1) == 1,
         "an extension");
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    free(changed);
}

static size_t add_null(const unsigned char *old, size_t len, unsigned char *changed)
{
    memcpy(changed, old, len);
    memcpy(changed + len, "\x05\x00", 2);
    return len + 2;
}

/* Write names that are shorter than 128 bytes. Tag and length have a byte each. */
static size_t make_indefinite(const unsigned char *old, size_t len, unsigned char *changed)
{
    must(old[1] == len - 2 && old[1] < 128, "short names");
    changed[0] = old[0];
    changed[1] = 0x80;
    memcpy(changed + 2, old + 2, len - 2);
    memcpy(changed + len, "\x00\x00", 2);
    return len + 2;
}

static size_t lengthen_length(const unsigned char *old, size_t len, unsigned char *changed)
{
    must(old[1] == len - 2 && old[1] < 128, "short names");
    memcpy(changed, (const unsigned char[]){old[0], 0x82, 0, old[1]}, 4);
    memcpy(changed + 4, old + 2, len - 2);
    return len + 2;
}

/* Write the one URI as a constructed string of two. */
static size_t make_constructed(const unsigned char *old, size_t len, unsigned char *changed)
{
    size_t text = len - 4, first = text / 2, second = text - first;

    must(old[2] == 0x86 && old[3] == text && text + 8 < 128, "one short URI");
    memcpy(changed,
           (const unsigned char[]){0x30, (unsigned char)(text + 6), 0xa6, (unsigned char)(text + 4),
                                   0x16, (unsigned char)first},
           6);
    memcpy(changed + 6, old + 4, first);
    memcpy(changed + 6 + first, (const unsigned char[]){0x16, (unsigned char)second}, 2);
    memcpy(changed + 8 + first, old + 4 + first, second);
    return text + 8;
}

static void add_unknown(X509 *cert, int number)
{
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    ASN1_OBJECT *name;
    char text[32];

    snprintf(text, sizeof(text), "1.2.3.4.%d", number);
    name = OBJ_txt2obj(text, 1);
    must(name != NULL && value != NULL
             && ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x05\x00", 2)
             && X509_EXTENSION_create_by_OBJ(&extension, name, 0, value) != NULL
             && X509_add_ext(cert, extension, -1) == 1,
         "an extension");
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(name);
}

void trick_many_extensions(X509 *cert)
{
    int i;

    for (i = 0; i < 70; i++)
        add_unknown(cert, i);
}

void trick_san_trailing(X509 *cert)
{
    rewrite(cert, NID_subject_alt_name, add_null);
}

void trick_san_indefinite(X509 *cert)
{
    rewrite(cert, NID_subject_alt_name, make_indefinite);
}

void trick_san_long_length(X509 *cert)
{
    rewrite(cert, NID_subject_alt_name, lengthen_length);
}

void trick_san_constructed(X509 *cert)
{
    rewrite(cert, NID_subject_alt_name, make_constructed);
}

void trick_usage_trailing(X509 *cert)
{
    rewrite(cert, NID_key_usage, add_null);
}

static void set_date(ASN1_TIME *date, int type, const char *text)
{
    ASN1_STRING *other = ASN1_STRING_type_new(type);

    must(other != NULL && ASN1_STRING_set(other, text, -1) == 1
             && ASN1_STRING_copy(date, other) == 1,
         "a date");
    ASN1_STRING_free(other);
}

void trick_without_zone(X509 *cert)
{
    set_date(X509_getm_notAfter(cert), V_ASN1_GENERALIZEDTIME, "20991231235959");
}

void trick_with_zone(X509 *cert)
{
    set_date(X509_getm_notAfter(cert), V_ASN1_GENERALIZEDTIME, "20991231235959+0100");
}

void trick_with_fraction(X509 *cert)
{
    set_date(X509_getm_notAfter(cert), V_ASN1_GENERALIZEDTIME, "20991231235959.5Z");
}

void trick_no_date(X509 *cert)
{
    set_date(X509_getm_notAfter(cert), V_ASN1_GENERALIZEDTIME, "20991331235959Z");
}

void trick_without_end(X509 *cert)
{
    set_date(X509_getm_notAfter(cert), V_ASN1_GENERALIZEDTIME, "99991231235959Z");
}

void trick_generalized(X509 *cert)
{
    set_date(X509_getm_notBefore(cert), V_ASN1_GENERALIZEDTIME, "20240101000000Z");
}

/* ---- after the signature ---- */

/*
 * Change the version, in the bytes of a certificate. Newer X509_sign sets it to 3. The signature is again as long as
 * the one before, or the certificate is signed anew.
 */
static void set_version(X509 *cert, EVP_PKEY *key, unsigned char version)
{
    static const unsigned char usual[] = {0xa0, 3, 2, 1, 2};
    unsigned char *der = NULL, *tbs = NULL, *at, signature[256];
    const unsigned char *p;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const ASN1_BIT_STRING *old;
    size_t wanted, len;
    int der_len, tbs_len;

    X509_get0_signature(&old, NULL, cert);
    wanted = (size_t)ASN1_STRING_length(old);
    der_len = i2d_X509(cert, &der);
    tbs_len = i2d_re_X509_tbs(cert, &tbs);
    must(ctx != NULL && der_len > 0 && tbs_len > 0, "a certificate");
    must((at = memmem(tbs, 16, usual, sizeof(usual))) != NULL, "a version");
    at[4] = version;
    do {
        len = sizeof(signature);
        must(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1
                 && EVP_DigestSign(ctx, signature, &len, tbs, (size_t)tbs_len) == 1,
             "a signature");
    } while (len != wanted);
    must((at = memmem(der, (size_t)der_len, usual, sizeof(usual))) != NULL, "a version");
    at[4] = version;
    memcpy(der + der_len - wanted, signature, wanted); /* it is the end of a certificate */
    p = der;
    must(d2i_X509(&cert, &p, der_len) == cert && X509_get_version(cert) == version, "a version");
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    OPENSSL_free(tbs);
}

void trick_version_1(X509 *cert, EVP_PKEY *key)
{
    set_version(cert, key, X509_VERSION_1);
}

void trick_version_2(X509 *cert, EVP_PKEY *key)
{
    set_version(cert, key, X509_VERSION_2);
}

static void parts_of(X509 *cert, ASN1_BIT_STRING **signature, X509_ALGOR **algorithm)
{
    const ASN1_BIT_STRING *s;
    const X509_ALGOR *a;

    X509_get0_signature(&s, &a, cert);
    *signature = (ASN1_BIT_STRING *)(uintptr_t)s;
    *algorithm = (X509_ALGOR *)(uintptr_t)a;
}

void trick_other_algorithm(X509 *cert, EVP_PKEY *key)
{
    ASN1_BIT_STRING *signature;
    X509_ALGOR *algorithm;

    parts_of(cert, &signature, &algorithm);
    must(X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_ecdsa_with_SHA384), V_ASN1_UNDEF, NULL),
         "an algorithm");
}

/* Take the bytes of a signature. */
static int copy_signature(const ASN1_BIT_STRING *signature, unsigned char *copy, int size)
{
    int len = ASN1_STRING_length(signature);

    must(len <= size, "a short signature");
    memcpy(copy, ASN1_STRING_get0_data(signature), (size_t)len);
    return len;
}

void trick_broken_signature(X509 *cert, EVP_PKEY *key)
{
    ASN1_BIT_STRING *signature;
    X509_ALGOR *algorithm;
    unsigned char other[256];
    int len;

    parts_of(cert, &signature, &algorithm);
    len = copy_signature(signature, other, sizeof(other));
    other[len - 1] ^= 1;
    must(ASN1_STRING_set(signature, other, len) == 1, "a signature");
}

void trick_signature_trailing(X509 *cert, EVP_PKEY *key)
{
    ASN1_BIT_STRING *signature;
    X509_ALGOR *algorithm;
    unsigned char longer[256];
    int len;

    parts_of(cert, &signature, &algorithm);
    len = copy_signature(signature, longer, sizeof(longer) - 2);
    memcpy(longer + len, "\x05\x00", 2);
    must(ASN1_STRING_set(signature, longer, len + 2) == 1, "a signature");
}

void trick_pss_signature(X509 *cert, EVP_PKEY *key)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey;

    must(ctx != NULL && EVP_DigestSignInit(ctx, &pkey, EVP_sha256(), NULL, key) == 1
             && EVP_PKEY_CTX_set_rsa_padding(pkey, RSA_PKCS1_PSS_PADDING) == 1
             && X509_sign_ctx(cert, ctx) > 0,
         "a signature with PSS");
    EVP_MD_CTX_free(ctx);
}
