/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/endpoint.h"

#include "endpoint/certificates.h"
#include "endpoint/fields.h"
#include "endpoint/handshake.h"
#include "endpoint/ssl_table.h"

#include <stdatomic.h>

#include <openssl/crypto.h>

static void free_endpoint(endpoint *e)
{
    if (e == NULL)
        return;
    endpoint_free_certificates(e);
    endpoint_drop(&e->authorized);
    consul_store_unref(e->store);
    BIO_free_all(e->wbio);
    BIO_free(e->wall);
    OPENSSL_free(e);
}

/* Note a new SSL. OpenSSL may have freed another one at its address without a call of on_free. */
static void on_new(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    endpoint **place = ssl_table_find(parent);

    if (place != NULL) {
        free_endpoint(*place);
        ssl_table_remove(place);
    }
    ssl_table_add(parent, true); /* without memory, endpoint_get tries again */
}

static void on_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    endpoint **place = ssl_table_find(parent);

    if (place == NULL)
        return;
    if (*place != NULL && (*place)->wall != NULL) /* QUIC has none, and may be gone in part */
        endpoint_forget_bio(*place, parent);
    free_endpoint(*place);
    ssl_table_remove(place);
}

/* Ask for a number of ex_data for its functions alone. A copy by SSL_dup is an SSL like others. */
int endpoint_init(void)
{
    return CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, on_new, NULL, on_free) >= 0;
}

bool endpoint_is_alive(const void *ssl)
{
    endpoint **place = ssl_table_find(ssl);

    return place != NULL && ssl_table_is_told(place);
}

endpoint *endpoint_find(const SSL *ssl)
{
    endpoint **place = ssl_table_find(ssl);

    return place == NULL ? NULL : *place;
}

/*
 * The mark of an SSL that has an endpoint. It is a number in the inheritance flags of the SSL's verify parameters.
 * OpenSSL does not look at these bits. A new SSL has none, also where no call has told of it (on_new). SSL_set1_param
 * leaves these flags as they are, and a program may call it at any moment. SSL_dup does not copy them. Programs write to
 * the ex_data of an SSL.
 *
 * OpenSSL's own QUIC has two SSLs with the same parameters, which share a number. Its streams have no parameters.
 */
#define MARK_SHIFT 8
#define MARKS 0xffffffU

static uint32_t next_mark(void)
{
    static atomic_uint last;
    uint32_t mark = 0;

    while (mark == 0)
        mark = (atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1) & MARKS;
    return mark;
}

static bool is_marked(const endpoint *e, SSL *ssl)
{
    const X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    return param == NULL || X509_VERIFY_PARAM_get_inh_flags(param) >> MARK_SHIFT == e->mark;
}

static void mark(endpoint *e, SSL *ssl)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    uint32_t flags = param == NULL ? 0 : X509_VERIFY_PARAM_get_inh_flags(param);

    if (flags >> MARK_SHIFT != 0)
        e->mark = flags >> MARK_SHIFT;
    else if (e->mark == 0)
        e->mark = next_mark();
    if (param != NULL && flags >> MARK_SHIFT == 0)
        X509_VERIFY_PARAM_set_inh_flags(param, flags | e->mark << MARK_SHIFT);
}

/* Return true while a callback of the application runs that this endpoint has called. */
static bool is_in_use(const endpoint *e)
{
    return e->telling != 0 || e->asking_security;
}

/*
 * Find an endpoint, or make it. A thread with another default library context makes and frees SSLs without a call of
 * ours. So an endpoint may be there of an SSL that is gone.
 */
endpoint *endpoint_get(SSL *ssl)
{
    endpoint **place = ssl_table_find(ssl), *e;

    if (place == NULL)
        place = ssl_table_add(ssl, false);
    if (place == NULL)
        return NULL;
    e = *place;
    if (e != NULL && is_marked(e, ssl))
        return e;
    /* A program may have written to these flags, which no known one does. */
    if (e == NULL
        || !(is_in_use(e) || (endpoint_knows_handshake(e) && endpoint_is_same_handshake(e, ssl)))) {
        free_endpoint(e);
        *place = e = OPENSSL_zalloc(sizeof(*e));
    }
    if (e != NULL)
        mark(e, ssl);
    return e;
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

/* Called some hundred times a handshake. */
endpoint *endpoint_find_repeating(const SSL *ssl, int op)
{
    endpoint *e = endpoint_find(ssl);
    OSSL_HANDSHAKE_STATE state;

    if (e == NULL || e->security_op != op)
        return NULL;
    state = SSL_get_state(ssl);
    if (state == TLS_ST_BEFORE || state == TLS_ST_OK || e->security_state != state
        || e->ctx != SSL_get_SSL_CTX(ssl) || e->current != SSL_get_certificate(ssl))
        return NULL;
    return e;
}
