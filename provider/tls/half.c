/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/half.h"

#include "endpoint/certificates.h"
#include "endpoint/report.h"

/* The least number that is ours. Some programs use numbers that they never asked for. */
#define INDEX_LEAST 17

static int stand_in_index = -1; /* of a mark at an SSL_CTX with the certificate of a stand-in */
static char mark;

int prov_tls_half_init(void)
{
    while (stand_in_index < INDEX_LEAST) {
        stand_in_index =
            CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, NULL, NULL, NULL);
        if (stand_in_index < 0)
            return 0;
    }
    return 1;
}

void prov_tls_half_note(const SSL_CTX *ctx, const X509 *cert)
{
    consul_uri uri;

    if (ctx != NULL && cert != NULL && consul_cert_stands_in(cert, &uri))
        SSL_CTX_set_ex_data((SSL_CTX *)ctx, stand_in_index, &mark);
}

void prov_tls_half_report(SSL *ssl)
{
    endpoint *e = endpoint_find(ssl);
    X509 *cert = SSL_get_certificate(ssl); /* after a key of another type, OpenSSL shows none */
    EVP_PKEY *key = SSL_get_privatekey(ssl);
    consul_error err = {0};
    consul_uri uri;

    if (e == NULL || endpoint_rule(e) == ENDPOINT_GOVERNED || endpoint_has_certificates(e)
        || (cert == NULL) == (key == NULL))
        return;
    if (key != NULL && consul_key_stands_in(key))
        consul_error_set(&err, CONSUL_R_OWN_IDENTITY_INVALID,
                         "the key is a stand-in's, and its certificate is missing or an ordinary "
                         "one; give both files of consul-tls stand-in");
    else if (cert == NULL ? SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), stand_in_index) == &mark
                          : consul_cert_stands_in(cert, &uri))
        consul_error_set(&err, CONSUL_R_OWN_IDENTITY_INVALID,
                         "the certificate is a stand-in's, and its key is missing or an ordinary "
                         "one; give both files of consul-tls stand-in");
    else
        return;
    endpoint_report(e, ssl, &err, NULL);
}
