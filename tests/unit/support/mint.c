/* SPDX-License-Identifier: Apache-2.0 */
#include "mint.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

/* Abort after a failed call. cmocka's assertions are not for set-ups and threads. */
static void must(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "mint: %s\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

static void add_names(X509 *cert, const mint_name names[MINT_NAMES_MAX], bool critical)
{
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    X509_EXTENSION *extension;
    int i;

    for (i = 0; i < MINT_NAMES_MAX && names[i].text != NULL; i++) {
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        size_t len = names[i].len != 0 ? names[i].len : strlen(names[i].text);

        must(name != NULL && text != NULL && ASN1_STRING_set(text, names[i].text, (int)len),
             "a name");
        GENERAL_NAME_set0_value(name, names[i].type, text);
        must(sk_GENERAL_NAME_push(all, name), "names");
    }
    if (i > 0) {
        extension = X509V3_EXT_i2d(NID_subject_alt_name, critical, all);
        must(extension != NULL && X509_add_ext(cert, extension, -1), "subjectAltName");
        X509_EXTENSION_free(extension);
    }
    GENERAL_NAMES_free(all);
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;

    if (*value == '\0')
        return;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must(extension != NULL && X509_add_ext(cert, extension, -1), value);
    X509_EXTENSION_free(extension);
}

/* Add one of the form "name=value". The name may be an object identifier. */
static void add_more(X509 *cert, X509 *issuer, const char *text)
{
    const char *value = strchr(text, '=');
    char name[64];
    X509V3_CTX ctx;
    X509_EXTENSION *extension;

    must(value != NULL && (size_t)(value - text) < sizeof(name), text);
    OPENSSL_strlcpy(name, text, (size_t)(value - text) + 1);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_nconf(NULL, &ctx, name, value + 1);
    must(extension != NULL && X509_add_ext(cert, extension, -1), text);
    X509_EXTENSION_free(extension);
}

static void add_extensions(X509 *cert, X509 *issuer, const mint_order *order)
{
    const char *usage = order->key_usage, *ext_usage = order->ext_key_usage;
    const char *constraints = order->basic_constraints;
    const char *own_id = order->key_ids[0], *issuers_id = order->key_ids[1];
    int i;

    if (usage == NULL)
        usage = order->ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature";
    if (ext_usage == NULL)
        ext_usage = order->ca ? "" : "serverAuth,clientAuth";
    if (constraints == NULL)
        constraints = order->ca ? "critical,CA:TRUE" : "critical,CA:FALSE";
    add_extension(cert, issuer, NID_basic_constraints, constraints);
    add_extension(cert, issuer, NID_key_usage, usage);
    add_extension(cert, issuer, NID_ext_key_usage, ext_usage);
    if (order->issuer_key_id)
        must(X509_add1_ext_i2d(cert, NID_subject_key_identifier,
                               (void *)X509_get0_subject_key_id(issuer), 0, 0),
             "the issuer's key identifier");
    else
        add_extension(cert, issuer, NID_subject_key_identifier, own_id == NULL ? "hash" : own_id);
    add_extension(cert, issuer, NID_authority_key_identifier,
                  issuers_id == NULL ? "keyid" : issuers_id);
    add_names(cert, order->names, order->subject == NULL);
    add_names(cert, order->more_names, false);
    for (i = 0; i < MINT_MORE && order->extensions[i] != NULL; i++)
        add_more(cert, issuer, order->extensions[i]);
}

static void set_times(X509 *cert, const mint_order *order)
{
    bool given = order->not_before != 0 || order->not_after != 0;

    must(X509_gmtime_adj(X509_getm_notBefore(cert), given ? order->not_before : -MINT_DAY) != NULL
             && X509_gmtime_adj(X509_getm_notAfter(cert), given ? order->not_after : MINT_DAY)
                    != NULL,
         "times");
}

/* Change a copy, as OpenSSL 4 lends out a certificate's name for reading only. */
void mint_add_to_subject(X509 *cert, const char *field, int type, const void *value, int len)
{
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(cert));

    must(name != NULL && X509_NAME_add_entry_by_txt(name, field, type, value, len, -1, 0)
             && X509_set_subject_name(cert, name),
         "a subject");
    X509_NAME_free(name);
}

static void set_subject(X509 *cert, const char *name)
{
    if (name != NULL)
        mint_add_to_subject(cert, "CN", MBSTRING_UTF8, name, -1);
}

void mint_sign(const minted *one, EVP_PKEY *key, const char *digest)
{
    const EVP_MD *md = EVP_get_digestbyname(digest == NULL ? "SHA256" : digest);
    bool has_own = EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");

    must(X509_sign(one->cert, key, has_own ? NULL : md), "a signature");
}

minted mint(const minted *issuer, mint_order order)
{
    static atomic_int_fast64_t serials = 1000;
    minted one;

    if (order.key != NULL) {
        one.key = (EVP_PKEY *)(uintptr_t)order.key;
        EVP_PKEY_up_ref(one.key);
    } else {
        one.key = order.rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    }
    one.cert = X509_new();
    must(one.key != NULL && one.cert != NULL && X509_set_version(one.cert, X509_VERSION_3)
             && X509_set_pubkey(one.cert, one.key),
         "a certificate");
    must(ASN1_INTEGER_set_uint64(X509_get_serialNumber(one.cert),
                                 order.serial != 0 ? order.serial
                                                   : (uint64_t)atomic_fetch_add(&serials, 1)),
         "a serial number");
    set_times(one.cert, &order);
    set_subject(one.cert, order.subject);
    if (issuer == NULL)
        issuer = &one;
    must(X509_set_issuer_name(one.cert, X509_get_subject_name(issuer->cert)), "an issuer");
    add_extensions(one.cert, issuer->cert, &order);
    if (order.change != NULL)
        order.change(one.cert);
    mint_sign(&one, issuer->key, order.digest);
    if (order.seal != NULL)
        order.seal(one.cert, issuer->key);
    return one;
}

void minted_free(minted *one)
{
    X509_free(one->cert);
    EVP_PKEY_free(one->key);
    *one = (minted){0};
}

minted mint_ca(const char *trust_domain)
{
    char uri[512], subject[65];

    snprintf(uri, sizeof(uri), "spiffe://%s", trust_domain);
    snprintf(subject, sizeof(subject), "CA of %.50s", trust_domain);
    return mint(NULL, (mint_order){.subject = subject, .ca = true, .names = {{GEN_URI, uri, 0}}});
}

minted mint_unusable_ca(const char *trust_domain)
{
    minted ca = mint_ca(trust_domain);
    ASN1_OCTET_STRING *text = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension;

    must(text != NULL && ASN1_OCTET_STRING_set(text, (const unsigned char *)"no DER", 6) == 1,
         "a text");
    extension = X509_EXTENSION_create_by_NID(NULL, NID_ext_key_usage, 0, text);
    must(extension != NULL && X509_add_ext(ca.cert, extension, -1) == 1
             && X509_sign(ca.cert, ca.key, EVP_sha256()) > 0,
         "an extension");
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(text);
    return ca;
}

minted mint_stand_in(const char *uri)
{
    return mint(NULL, (mint_order){.names = {{GEN_URI, uri, 0}}});
}

minted mint_leaf(const minted *ca, const char *trust_domain, const char *service)
{
    char uri[1024];

    snprintf(uri, sizeof(uri), "spiffe://%s/ns/default/dc/dc1/svc/%s", trust_domain, service);
    return mint(ca, (mint_order){.names = {{GEN_URI, uri, 0}}});
}

static char *take_text(BIO *bio)
{
    char *data, *text;
    long len = BIO_get_mem_data(bio, &data);

    text = strndup(data, (size_t)len);
    must(text != NULL, "a PEM text");
    BIO_free(bio);
    return text;
}

char *mint_cert_pem(const X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());

    must(bio != NULL && PEM_write_bio_X509(bio, cert), "a PEM certificate");
    return take_text(bio);
}

char *mint_key_pem(const EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());

    must(bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), "a PEM key");
    return take_text(bio);
}
