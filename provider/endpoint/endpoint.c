/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/endpoint.h"

#include "endpoint/alive.h"
#include "endpoint/certificates.h"
#include "endpoint/fields.h"

#include <stdint.h>

#include <openssl/crypto.h>

/*
 * The numbers of the ex_data of an SSL that have an endpoint and its mark. They are not asked for, and OpenSSL gives out
 * some forty others before. Each number that is asked for has its cost in every SSL. With ten of them OpenSSL needs memory
 * to free an SSL, and calls no function of theirs without. Some programs keep data under numbers that they have not asked
 * for, too. The highest known of these is 18.
 *
 * A program that asks for more than forty numbers meets ours. OpenSSL does not tell how many it has given out. A copy of
 * empty data shows that, and calls all functions of the programs. Squid ends there.
 */
#define SSL_NUMBER 40
#define MARK_NUMBER 41

#define MARK ((uintptr_t)0x6ea5c3d2 * 0x9e3779b1) /* no address */

/*
 * Return the mark that stands beside an endpoint. A program that writes under our numbers writes no
 * such pair. The pointer is not followed before that is known.
 */
static void *mark_of(const void *ssl, const void *e)
{
    return e == NULL ? NULL : (void *)((uintptr_t)ssl ^ (uintptr_t)e ^ MARK);
}

static void note_ssl(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    alive_add(parent);
}

static void free_endpoint(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                          void *argp)
{
    endpoint *e = CRYPTO_get_ex_data(ad, SSL_NUMBER); /* not followed before its mark is seen */

    alive_remove(parent);
    if (e == NULL || CRYPTO_get_ex_data(ad, MARK_NUMBER) != mark_of(parent, e))
        return;
    endpoint_free_certificates(e);
    X509_free(e->authorized);
    consul_store_unref(e->store);
    BIO_free_all(e->wbio);
    OPENSSL_free(e);
}

/* Ask for a number for the functions alone. A copy by SSL_dup gets no data of ours, and is judged by itself. */
int endpoint_init(void)
{
    return CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, note_ssl, NULL, free_endpoint)
           >= 0;
}

bool endpoint_is_lost(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, MARK_NUMBER) != mark_of(ssl, SSL_get_ex_data(ssl, SSL_NUMBER));
}

endpoint *endpoint_find(const SSL *ssl)
{
    endpoint *e = SSL_get_ex_data(ssl, SSL_NUMBER);

    return SSL_get_ex_data(ssl, MARK_NUMBER) == mark_of(ssl, e) ? e : NULL;
}

endpoint *endpoint_get(SSL *ssl)
{
    endpoint *e = endpoint_find(ssl);

    if (e != NULL || endpoint_is_lost(ssl) || (e = OPENSSL_zalloc(sizeof(*e))) == NULL)
        return e;
    if (SSL_set_ex_data(ssl, MARK_NUMBER, mark_of(ssl, e)) && SSL_set_ex_data(ssl, SSL_NUMBER, e))
        return e;
    SSL_set_ex_data(ssl, MARK_NUMBER, NULL);
    OPENSSL_free(e);
    return NULL;
}

enum endpoint_rule endpoint_rule(const endpoint *e)
{
    return e->rule;
}

enum endpoint_peer endpoint_peer(const endpoint *e)
{
    return e->peer;
}

consul_store *endpoint_store(const endpoint *e)
{
    return e->store;
}

void endpoint_govern(endpoint *e)
{
    e->rule = ENDPOINT_GOVERNED;
}

void endpoint_set_peer(endpoint *e, enum endpoint_peer peer)
{
    e->peer = peer;
}

bool endpoint_look_at_peer(endpoint *e)
{
    bool is_first = !e->looked_at;

    e->looked_at = true;
    return is_first;
}

void endpoint_authorize(endpoint *e, X509 *cert)
{
    if (!X509_up_ref(cert))
        return;
    X509_free(e->authorized);
    e->authorized = cert;
    e->peer = ENDPOINT_PEER_AUTHORIZED;
}

void endpoint_set_lenient(endpoint *e, bool is_lenient)
{
    e->is_lenient = is_lenient;
}

bool endpoint_is_lenient(const endpoint *e)
{
    return e->is_lenient;
}

void endpoint_set_basis(endpoint *e, enum consul_basis basis)
{
    e->basis = basis;
}

bool endpoint_is_unusable(const endpoint *e)
{
    return e->unusable;
}

bool endpoint_presents_live_leaf(const endpoint *e)
{
    return e->presents_live_leaf;
}

const consul_service *endpoint_wanted(const endpoint *e)
{
    return e->has_wanted ? &e->wanted : NULL;
}

bool endpoint_host_is_service(const endpoint *e)
{
    return e->host_is_service;
}

void endpoint_set_prepared(endpoint *e)
{
    e->prepared = true;
}

bool endpoint_is_prepared(const endpoint *e)
{
    return e->prepared;
}

void endpoint_set_awaiting_certificate(endpoint *e)
{
    e->awaits_certificate = true;
}

bool endpoint_is_awaiting_certificate(const endpoint *e)
{
    return e->awaits_certificate;
}

void endpoint_note_message(endpoint *e)
{
    e->saw_message = true;
}

bool endpoint_saw_message(const endpoint *e)
{
    return e->saw_message;
}

void endpoint_note_security_call(endpoint *e, const SSL *ssl, int op)
{
    e->security_op = op;
    if (op != 0)
        e->security_state = SSL_get_state(ssl);
}

/* Called some hundred times a handshake. So it makes no call of another file of ours. */
endpoint *endpoint_find_repeating(const SSL *ssl, int op)
{
    OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl);
    endpoint *e = state == TLS_ST_BEFORE || state == TLS_ST_OK ? NULL : endpoint_find(ssl);

    if (e == NULL || e->security_op != op || e->security_state != state || !e->begun
        || e->ctx != SSL_get_SSL_CTX(ssl) || e->current != SSL_get_certificate(ssl))
        return NULL;
    return e;
}
