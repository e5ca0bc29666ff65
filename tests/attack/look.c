/* SPDX-License-Identifier: Apache-2.0 */
/* How the application looks at its SSL, and at its peer in a context of its own. */
#include "app.h"

#include "unit.h"

#include <sys/mman.h>

#include "tls.h"

#define SIZE (1 << 16)

static X509_STORE_CTX *context_about(void *ssl, X509 *cert)
{
    X509_STORE_CTX *look = X509_STORE_CTX_new();

    app_list("look = X509_STORE_CTX_new(); X509_STORE_CTX_init(look, NULL, cert, NULL)");
    app_list("X509_STORE_CTX_set_ex_data(look, SSL_get_ex_data_X509_STORE_CTX_idx(), ssl)");
    assert_non_null(look);
    assert_int_equal(X509_STORE_CTX_init(look, NULL, cert, NULL), 1);
    X509_STORE_CTX_set_ex_data(look, SSL_get_ex_data_X509_STORE_CTX_idx(), ssl);
    return look;
}

static void look_at_peer(SSL *ssl)
{
    X509 *cert = SSL_get1_peer_certificate(ssl);

    if (cert != NULL)
        X509_STORE_CTX_free(context_about(ssl, cert));
    X509_free(cert);
}

void app_look_before(SSL *ssl)
{
    if (ROW_IS(&app.r, LOOK, LOOK_AT_CIPHERS))
        sk_SSL_CIPHER_free(CALL(SSL_get1_supported_ciphers(ssl)));
}

void app_look_inside(SSL *ssl)
{
    if (ROW_IS(&app.r, LOOK, LOOK_INSIDE))
        look_at_peer(ssl);
    if (ROW_IS(&app.r, LOOK, LOOK_AT_FRIEND))
        X509_STORE_CTX_free(context_about(ssl, world.friend.cert));
}

void app_look_after(SSL *ssl)
{
    if (ROW_IS(&app.r, LOOK, LOOK_AFTER)) {
        look_at_peer(ssl);
        X509_STORE_CTX_free(context_about(ssl, world.site.cert));
    }
    if (ROW_IS(&app.r, LOOK, LOOK_OUTLIVES) && app.look == NULL)
        app.look = context_about(ssl, world.site.cert);
}

/* Free the context that outlives its SSL. The memory of that is gone, and the pointer leads nowhere. */
void app_look_no_more(void)
{
    char *nowhere;

    if (app.look == NULL)
        return;
    nowhere = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(nowhere, MAP_FAILED);
    X509_STORE_CTX_set_ex_data(app.look, SSL_get_ex_data_X509_STORE_CTX_idx(), nowhere + SIZE / 2);
    app_list("X509_STORE_CTX_free(look) /* after SSL_free */");
    X509_STORE_CTX_free(app.look);
    app.look = NULL;
    munmap(nowhere, SIZE);
}
