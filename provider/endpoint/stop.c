/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/stop.h"

#include "endpoint/fields.h"

bool endpoint_stop(endpoint *e)
{
    bool is_first = !e->stopped;

    e->stopped = true;
    return is_first;
}

bool endpoint_is_stopped(const endpoint *e)
{
    return e->stopped;
}

/* Cut off the SSL again where the application has given it another BIO, for its next handshake say. */
void endpoint_cut_off(endpoint *e, SSL *ssl)
{
    BIO *wbio = SSL_get_wbio(ssl), *wall;

    if (wbio == NULL || BIO_test_flags(wbio, BIO_FLAGS_MEM_RDONLY) || !BIO_up_ref(wbio))
        return;
    BIO_free_all(e->wbio);
    e->wbio = wbio;
    wall = BIO_new_mem_buf("", 0); /* to be read only */
    SSL_set0_wbio(ssl, wall);      /* none does as well */
}

void endpoint_hold_back(endpoint *e, SSL *ssl)
{
    e->held_back = true;
    SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_SENT_SHUTDOWN);
}

void endpoint_release(endpoint *e, SSL *ssl)
{
    if (e->held_back && !e->stopped)
        SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) & ~SSL_SENT_SHUTDOWN);
    e->held_back = false;
}
