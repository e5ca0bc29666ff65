/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/endpoint.h"

#include "endpoint/alive.h"
#include "endpoint/certificates.h"
#include "endpoint/fields.h"

#include <stdatomic.h>
#include <stdint.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

/*
 * An endpoint and its mark lie in the ex_data of their SSL, under two numbers in a row. Mostly both are spare numbers, which
 * were given to no program: OpenSSL gives out some forty others before. Each number that is asked for has its cost in every SSL.
 * With ten of them OpenSSL needs memory to free an SSL, and calls no function of theirs without. Some programs keep data under
 * numbers that they have not asked for, too. The highest known of these is 18.
 *
 * A program with more than forty numbers would read our endpoint as its own data, or free it. So two numbers are asked for
 * then, once. New endpoints lie there. Earlier ones stay in their place.
 */
#define SPARE_NUMBER 40

#define MARK ((uintptr_t)0x6ea5c3d2 * 0x9e3779b1) /* no address */

static CRYPTO_EX_DATA nothing;    /* NULL under all numbers up to the spare ones */
static atomic_int claimed_number; /* of new endpoints, asked for; or 0 */

static void note_ssl(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    alive_add(parent);
}

/* ---- the pair of an endpoint and its mark ---- */

/*
 * Return the mark that stands beside an endpoint. A program that writes under our numbers writes no
 * such pair. The pointer is not followed before that is known.
 */
static void *mark_of(const void *ssl, const void *e)
{
    return e == NULL ? NULL : (void *)((uintptr_t)ssl ^ (uintptr_t)e ^ MARK);
}

/* Return true where a pair is neither missing nor ours. */
static bool is_of_others(const SSL *ssl, int number)
{
    return SSL_get_ex_data(ssl, number + 1) != mark_of(ssl, SSL_get_ex_data(ssl, number));
}

static endpoint *find_under(const SSL *ssl, int number)
{
    return is_of_others(ssl, number) ? NULL : SSL_get_ex_data(ssl, number);
}

/* Return the endpoint of an SSL that is being freed, or NULL. */
static endpoint *find_in(const CRYPTO_EX_DATA *ad, const void *ssl, int number)
{
    endpoint *e = CRYPTO_get_ex_data(ad, number);

    return CRYPTO_get_ex_data(ad, number + 1) == mark_of(ssl, e) ? e : NULL;
}

/* ---- the numbers ---- */

/* Keep a copy by SSL_dup from data of ours. It is judged by itself. */
static int leave_out(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **ptr, int index,
                     long argl, void *argp)
{
    *ptr = NULL;
    return 1;
}

/*
 * Return true if OpenSSL has given out no spare number. A copy of data has as many numbers as were given out. False also
 * without memory to find out.
 */
static bool are_spare(void)
{
    CRYPTO_EX_DATA copy = {0};
    bool are;

    ERR_set_mark();
    are = CRYPTO_dup_ex_data(CRYPTO_EX_INDEX_SSL, &copy, &nothing) == 1
          && OPENSSL_sk_num((OPENSSL_STACK *)copy.sk) <= SPARE_NUMBER;
    ERR_pop_to_mark();
    OPENSSL_sk_free((OPENSSL_STACK *)copy.sk);
    return are;
}

static int ask_for_number(void)
{
    return CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, leave_out, NULL);
}

/* Ask for two numbers in a row; false without memory. Another thread may be the first. */
static bool claim(void)
{
    OSSL_LIB_CTX *current = OSSL_LIB_CTX_set0_default(OSSL_LIB_CTX_get0_global_default());
    int none = 0, number, next = ask_for_number();

    do {
        number = next;
        next = number < 0 ? -1 : ask_for_number();
    } while (next >= 0 && next != number + 1);
    OSSL_LIB_CTX_set0_default(current);
    if (next >= 0)
        atomic_compare_exchange_strong(&claimed_number, &none, number);
    return next >= 0;
}

/* See that new endpoints get numbers that are not the program's; false without memory. */
static bool have_numbers(void)
{
    return atomic_load(&claimed_number) != 0 || are_spare() || claim();
}

/* Return the number of new endpoints. */
static int number_of_new(void)
{
    int claimed = atomic_load(&claimed_number);

    return claimed != 0 ? claimed : SPARE_NUMBER;
}

/* ---- an endpoint with its SSL ---- */

static void free_endpoint(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                          void *argp)
{
    endpoint *e = find_in(ad, parent, number_of_new());

    alive_remove(parent);
    if (e == NULL && (e = find_in(ad, parent, SPARE_NUMBER)) == NULL)
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
    nothing.ctx = OSSL_LIB_CTX_get0_global_default();
    return CRYPTO_set_ex_data(&nothing, SPARE_NUMBER + 1, NULL) == 1
           && CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, note_ssl, NULL, free_endpoint)
                  >= 0;
}

bool endpoint_is_lost(const SSL *ssl)
{
    return is_of_others(ssl, number_of_new());
}

endpoint *endpoint_find(const SSL *ssl)
{
    int number = number_of_new();
    endpoint *e = find_under(ssl, number);

    return e == NULL && number != SPARE_NUMBER ? find_under(ssl, SPARE_NUMBER) : e;
}

endpoint *endpoint_get(SSL *ssl)
{
    endpoint *e = endpoint_find(ssl);
    int number;

    if (e != NULL || !have_numbers() || endpoint_is_lost(ssl)
        || (e = OPENSSL_zalloc(sizeof(*e))) == NULL)
        return e;
    number = number_of_new();
    if (SSL_set_ex_data(ssl, number + 1, mark_of(ssl, e)) && SSL_set_ex_data(ssl, number, e))
        return e;
    SSL_set_ex_data(ssl, number + 1, NULL);
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
