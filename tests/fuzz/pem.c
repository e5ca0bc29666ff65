/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys in PEM. Accepted ones, written anew, are the same. */
#include "fuzz.h"

#include "identity/cert.h"

#include <openssl/pem.h>

static void require_same(const STACK_OF(X509) *certs)
{
    STACK_OF(X509) *again = sk_X509_new_null();
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    int i;

    for (i = 0; i < sk_X509_num(certs); i++) {
        REQUIRE(sk_X509_find((STACK_OF(X509) *)certs, sk_X509_value(certs, i)) >= 0);
        REQUIRE(PEM_write_bio_X509(bio, sk_X509_value(certs, i)));
    }
    REQUIRE(BIO_write(bio, "", 1) == 1 && BIO_get_mem_data(bio, &text) > 1);
    REQUIRE(consul_certs_parse(text, NULL, again, NULL));
    REQUIRE(sk_X509_num(again) == sk_X509_num(certs));
    for (i = 0; i < sk_X509_num(certs); i++)
        REQUIRE(consul_certs_contain(again, sk_X509_value(certs, i)));
    sk_X509_pop_free(again, X509_free);
    BIO_free(bio);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    char *text = fuzz_text(&input, '\0');
    STACK_OF(X509) *certs = sk_X509_new_null();
    consul_error err = {0};
    EVP_PKEY *key;
    int ok = consul_certs_parse(text, NULL, certs, &err);

    fuzz_require_result(ok, &err);
    REQUIRE(sk_X509_num(certs) <= CONSUL_CERTS_MAX);
    if (ok) {
        REQUIRE(sk_X509_num(certs) > 0);
        require_same(certs);
        consul_certs_are_usable(certs);
        REQUIRE(ERR_peek_error() == 0);
    }
    sk_X509_pop_free(certs, X509_free);
    err = (consul_error){0};
    key = consul_key_parse(text, NULL, &err);
    fuzz_require_result(key != NULL, &err);
    EVP_PKEY_free(key);
    free(text);
    return 0;
}
