/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/cert.h"

#include "base/name.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* Give no passphrase, so that OpenSSL does not ask at a terminal for one. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    return -1;
}

/* Return OpenSSL's reason for its last error. */
static const char *last_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason == NULL ? "unknown format" : reason;
}

bool consul_certs_contain(const STACK_OF(X509) *certs, const X509 *cert)
{
    bool found = false;
    int i;

    ERR_set_mark(); /* X509_cmp reads the extensions */
    for (i = 0; i < sk_X509_num(certs) && !found; i++)
        found = X509_cmp(sk_X509_value(certs, i), cert) == 0;
    ERR_pop_to_mark();
    return found;
}

/*
 * Read one certificate. Return 1 for a certificate, 0 at the end of the text, and -1 for an error.
 */
static int read_cert(BIO *bio, OSSL_LIB_CTX *libctx, X509 **result, consul_error *err)
{
    X509 *cert = X509_new_ex(libctx, NULL);
    bool is_read;
    int ret = -1;

    if (cert == NULL) {
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a certificate");
        return -1;
    }
    ERR_set_mark();
    is_read = PEM_read_bio_X509(bio, &cert, no_passphrase, NULL) != NULL;
    if (is_read) {
        *result = cert;
        cert = NULL;
        ret = 1;
    } else if (ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_PEM
               && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
        ret = 0;
    } else {
        consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID, "a certificate cannot be read: %s",
                         last_reason());
    }
    ERR_pop_to_mark();
    X509_free(cert);
    return ret;
}

int consul_certs_parse(const char *pem, OSSL_LIB_CTX *libctx, STACK_OF(X509) *certs,
                       consul_error *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = NULL;
    int found = 0, got = -1;

    if (bio == NULL)
        return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a certificate");
    while ((got = read_cert(bio, libctx, &cert, err)) == 1) {
        found++;
        if (consul_certs_contain(certs, cert)) {
            X509_free(cert);
        } else if (sk_X509_num(certs) == CONSUL_CERTS_MAX || !sk_X509_push(certs, cert)) {
            consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID, "more than %d certificates",
                             CONSUL_CERTS_MAX);
            X509_free(cert);
            got = -1;
            break;
        }
    }
    BIO_free(bio);
    if (got == 0 && found == 0) {
        consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID, "no certificate in its PEM text");
        got = -1;
    }
    return got == 0;
}

bool consul_certs_are_usable(const STACK_OF(X509) *certs)
{
    bool usable = true;
    int i;

    ERR_set_mark();
    for (i = 0; i < sk_X509_num(certs) && usable; i++) {
        X509 *cert = sk_X509_value(certs, i);
        const EVP_PKEY *key = X509_get0_pubkey(cert);

        /* A key that was read without memory may have sizes of 0 for ever. */
        usable = key != NULL && EVP_PKEY_get_size(key) > 0 && EVP_PKEY_get_security_bits(key) > 0
                 && X509_check_purpose(cert, -1, 0) == 1;
    }
    ERR_pop_to_mark();
    return usable;
}

/* Return true where one DER value has all bytes of an extension. */
static bool is_one_value(const ASN1_OCTET_STRING *data)
{
    const unsigned char *bytes = ASN1_STRING_get0_data(data), *value = bytes;
    long whole = ASN1_STRING_length(data), len = 0;
    int tag, class, form;

    ERR_set_mark();
    form = ASN1_get_object(&value, &len, &tag, &class, whole);
    ERR_pop_to_mark();
    return (form & 0x81) == 0
           && value - bytes + len == whole; /* neither malformed nor indefinite */
}

bool consul_cert_is_well_formed(const X509 *cert)
{
    int count = X509_get_ext_count(cert), i;

    if (X509_get_version(cert) != X509_VERSION_3 || count > CONSUL_EXTENSIONS_MAX)
        return false;
    for (i = 0; i < count; i++) {
        const ASN1_OBJECT *name = X509_EXTENSION_get_object(X509_get_ext(cert, i));

        if (!is_one_value(X509_EXTENSION_get_data(X509_get_ext(cert, i)))
            || X509_get_ext_by_OBJ(cert, name, i) >= 0)
            return false;
    }
    return true;
}

bool consul_chain_serves(const STACK_OF(X509) *chain, int purpose)
{
    bool of_server = purpose == X509_PURPOSE_SSL_SERVER;
    uint32_t wanted = of_server ? XKU_SSL_SERVER | XKU_SGC : XKU_SSL_CLIENT;
    uint32_t uses = KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT | (of_server ? KU_KEY_ENCIPHERMENT : 0);
    bool serves = sk_X509_num(chain) > 0;
    int i;

    ERR_set_mark();
    serves = serves && (X509_get_key_usage(sk_X509_value(chain, 0)) & uses) != 0;
    for (i = 0; serves && (i == 0 || i + 1 < sk_X509_num(chain)); i++)
        serves = (X509_get_extended_key_usage(sk_X509_value(chain, i)) & wanted) != 0;
    ERR_pop_to_mark();
    return serves;
}

/* Store the seconds from 1970 to a date. Return false for a date that cannot be read. */
static bool seconds_of(const ASN1_TIME *since_1970, const ASN1_TIME *date, int64_t *seconds)
{
    int days = 0, rest = 0;
    bool ok = ASN1_TIME_diff(&days, &rest, since_1970, date) == 1;

    *seconds = (int64_t)days * 86400 + rest;
    return ok;
}

void consul_cert_validity(const X509 *cert, int64_t *begins, int64_t *ends)
{
    ASN1_TIME *since_1970 = ASN1_TIME_set(NULL, 0);

    ERR_set_mark();
    if (since_1970 == NULL || !seconds_of(since_1970, X509_get0_notBefore(cert), begins)
        || !seconds_of(since_1970, X509_get0_notAfter(cert), ends))
        *begins = *ends = 0;
    ERR_pop_to_mark();
    ASN1_TIME_free(since_1970);
}

EVP_PKEY *consul_key_parse(const char *pem, OSSL_LIB_CTX *libctx, consul_error *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = NULL;

    if (bio == NULL) {
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a private key");
        return NULL;
    }
    ERR_set_mark();
    key = PEM_read_bio_PrivateKey_ex(bio, NULL, no_passphrase, NULL, libctx, NULL);
    if (key == NULL) {
        consul_error_set(
            err, CONSUL_R_AGENT_ANSWER_INVALID,
            "the private key cannot be read: %s. Does openssl.cnf activate the default "
            "provider, too?",
            last_reason());
    }
    ERR_pop_to_mark();
    BIO_free(bio);
    return key;
}

char *consul_cert_serial(const X509 *cert, consul_error *err)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    const unsigned char *bytes = ASN1_STRING_get0_data(serial);
    int len = ASN1_STRING_length(serial);
    char *text = OPENSSL_buf2hexstr(bytes, len);

    if (text == NULL) {
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a serial number");
        return NULL;
    }
    consul_lower_case(text);
    return text;
}
