#include "endpoint/endpoint.h"

#include "endpoint/alive.h"
#include "endpoint/certificates.h"

#include <openssl/crypto.h>

/*
 * Some programs keep things of their own with an SSL under numbers that they never asked for, of which
 * 16 is the highest known. Ours is beyond these.
 */
#define SSL_INDEX_LEAST 17

static int ssl_index = -1; /* of an endpoint */

static void note_ssl(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    alive_add(parent);
}

static void free_endpoint(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                          void *argp)
{
    endpoint *e = ptr;

    alive_remove(parent);
    if (e == NULL)
        return;
    endpoint_free_certificates(e);
    consul_store_unref(e->store);
    BIO_free_all(e->wbio);
    OPENSSL_free(e);
}

/* SSL_dup: the copy finds out for itself. */
static int dup_endpoint(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **from_d, int index,
                        long argl, void *argp)
{
    *from_d = NULL;
    return 1;
}

int endpoint_init(void)
{
    int index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, NULL);

    while (index >= 0 && index < SSL_INDEX_LEAST - 1)
        index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, NULL);
    if (index >= 0)
        ssl_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, note_ssl, dup_endpoint,
                                            free_endpoint);
    return ssl_index >= 0;
}

endpoint *endpoint_find(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, ssl_index);
}

endpoint *endpoint_get(SSL *ssl)
{
    endpoint *e = endpoint_find(ssl);

    if (e == NULL && (e = OPENSSL_zalloc(sizeof(*e))) != NULL
        && !SSL_set_ex_data(ssl, ssl_index, e)) {
        OPENSSL_free(e);
        e = NULL;
    }
    return e;
}
