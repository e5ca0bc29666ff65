/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/certificates.h"

#include "endpoint/asking.h"
#include "endpoint/fields.h"
#include "report/board.h"

#include <string.h>

#include <openssl/crypto.h>

/* Stands for nothing, where there is no memory to keep what a stand-in says. */
static const consul_uri no_service = {.kind = CONSUL_URI_ROOTS};

static void free_stand_in(endpoint *e)
{
    if (e->stand_in != &no_service)
        OPENSSL_free((consul_uri *)e->stand_in);
    e->stand_in = NULL;
}

void endpoint_free_certificates(endpoint *e)
{
    while (e->seen_count > 0)
        X509_free(e->seen[--e->seen_count]);
    endpoint_drop(&e->current);
    endpoint_drop(&e->leaf);
    endpoint_drop(&e->shown);
    consul_leaf_unref(e->ours);
    free_stand_in(e);
}

/* Take a leaf. A leaf that was loaded by URI is presented live; without memory, as it was loaded. */
static void take_leaf(endpoint *e, X509 *leaf)
{
    consul_uri uri;

    X509_up_ref(leaf);
    X509_free(e->leaf);
    e->leaf = leaf;
    free_stand_in(e);
    if (e->store != NULL && consul_store_has_loaded(e->store, leaf, &uri))
        e->stand_in = OPENSSL_memdup(&uri, sizeof(uri));
}

static void take_stand_in(endpoint *e, const consul_uri *uri)
{
    free_stand_in(e);
    e->stand_in = OPENSSL_memdup(uri, sizeof(*uri));
    if (e->stand_in == NULL)
        e->stand_in = &no_service;
    X509_free(e->leaf);
    e->leaf = NULL;
}

/* Take a certificate that is a stand-in, and return true. Return false for another one. */
static bool take_if_stand_in(endpoint *e, const X509 *cert)
{
    consul_uri uri;
    bool is_one = consul_cert_stands_in(cert, &uri);

    if (is_one)
        take_stand_in(e, &uri);
    return is_one;
}

/* List the certificates that this SSL may present. OpenSSL can be asked for the current one only. */
static size_t list_certificates(SSL *ssl, X509 *certs[ENDPOINT_CERTS_MAX])
{
    X509 *current = SSL_get_certificate(ssl);
    size_t count = 0;
    long more;

    for (more = SSL_set_current_cert(ssl, SSL_CERT_SET_FIRST);
         more == 1 && count < ENDPOINT_CERTS_MAX;
         more = SSL_set_current_cert(ssl, SSL_CERT_SET_NEXT))
        certs[count++] = SSL_get_certificate(ssl);
    if (current != NULL && SSL_get_certificate(ssl) != current)
        SSL_select_current_cert(ssl, current);
    return count;
}

bool endpoint_ssl_has(SSL *ssl, const X509 *cert)
{
    X509 *certs[ENDPOINT_CERTS_MAX];
    size_t i, count = list_certificates(ssl, certs);

    for (i = 0; i < count && certs[i] != cert; i++)
        ;
    return i < count;
}

/*
 * Find the stand-in among the certificates that this SSL may present, or else the Connect leaf, the
 * current one first. Without either the identity stays as it was. A governed connection does not cease
 * to be governed when SNI gives it other certificates.
 */
static void find_identity(endpoint *e, X509 *const certs[], size_t count, const X509 *current)
{
    X509 *leaf = NULL;
    size_t i;

    for (i = 0; i < count; i++) {
        X509 *cert = certs[i];

        if (endpoint_is_ours(e, cert) || consul_cert_is_plain(cert))
            continue;
        if (take_if_stand_in(e, cert)) {
            leaf = NULL;
            break;
        }
        if ((leaf == NULL || cert == current) && consul_cert_claims_connect(cert))
            leaf = cert;
    }
    if (leaf != NULL)
        take_leaf(e, leaf);
}

void endpoint_add_certificate(endpoint *e, X509 *cert)
{
    find_identity(e, &cert, 1, cert);
    endpoint_look_at_all_next(e);
}

void endpoint_look_at_all_next(endpoint *e)
{
    e->ctx = NULL; /* no SSL has that one */
}

bool endpoint_has_another_certificate(const endpoint *e, const SSL *ssl)
{
    return e->ctx != SSL_get_SSL_CTX(ssl) || e->current != SSL_get_certificate(ssl)
           || e->key != SSL_get_privatekey(ssl); /* it may come after a look at its certificate */
}

/* Keep the certificates that were seen. */
static void keep_seen(endpoint *e, X509 *const certs[], size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        X509_up_ref(certs[i]);
    while (e->seen_count > 0)
        X509_free(e->seen[--e->seen_count]);
    memcpy(e->seen, certs, count * sizeof(certs[0]));
    e->seen_count = count;
}

/*
 * Compare all certificates of the SSL with the seen ones. `same` is true for the same current certificate. Not inlined, as most calls of
 * endpoint_look_at_certificates would pay for this frame.
 */
static bool __attribute__((noinline)) look_at_all(endpoint *e, SSL *ssl, bool same)
{
    X509 *certs[ENDPOINT_CERTS_MAX], *current = SSL_get_certificate(ssl);
    size_t count = list_certificates(ssl, certs);
    bool are_same = e->seen_count == count && memcmp(e->seen, certs, count * sizeof(certs[0])) == 0;

    if (same && are_same)
        return false;
    find_identity(e, certs, count, current);
    if (!are_same)
        keep_seen(e, certs, count);
    if (e->current != current) {
        if (current != NULL)
            X509_up_ref(current);
        endpoint_drop(&e->current);
        e->current = current;
    }
    e->key = SSL_get_privatekey(ssl);
    e->ctx = SSL_get_SSL_CTX(ssl);
    return true;
}

/*
 * Look at all certificates where the current one is another one. Within a handshake the current certificate and key are enough. A
 * certificate or key that an SSL is given becomes the current one, and so does the choice of libssl. An application can
 * make another one the current one again. So a server is looked at as a whole after its choice: see prov_tls_arm_anew.
 */
bool endpoint_look_at_certificates(endpoint *e, SSL *ssl, bool at_all)
{
    bool same = !endpoint_has_another_certificate(e, ssl);

    if (same && !at_all)
        return false;
    return look_at_all(e, ssl, same);
}

bool endpoint_knows_as_ordinary(const endpoint *e, const X509 *cert)
{
    size_t i;

    for (i = 0; i < e->seen_count && e->seen[i] != cert; i++)
        ;
    return i < e->seen_count && !endpoint_has_identity(e) && !endpoint_is_ours(e, cert);
}

bool endpoint_has_identity(const endpoint *e)
{
    return e->leaf != NULL || e->stand_in != NULL;
}

bool endpoint_is_ours(const endpoint *e, const X509 *cert)
{
    return e->ours != NULL && cert == consul_leaf_cert(e->ours);
}

bool endpoint_note_shown(endpoint *e, X509 *cert)
{
    if (e->leaf != NULL && !endpoint_is_ours(e, cert) && !consul_cert_claims_connect(cert))
        cert = e->leaf; /* an ordinary certificate beside the leaf, which may be taken away */
    if (e->shown == NULL && X509_up_ref(cert))
        e->shown = cert;
    return e->shown == cert;
}

void endpoint_expect_shown(endpoint *e)
{
    e->expects_shown = true;
}

const consul_spiffe_id *endpoint_identity(const endpoint *e, const SSL *ssl,
                                          consul_spiffe_id *space, consul_error *err)
{
    const X509 *current = e->shown != NULL ? e->shown : SSL_get_certificate(ssl);

    if (e->expects_shown && e->shown == NULL) {
        consul_error_set(err, CONSUL_R_OWN_IDENTITY_INVALID,
                         "the application has kept us from seeing which certificate is shown");
        return NULL;
    }
    if (endpoint_is_ours(e, current))
        return consul_leaf_id(e->ours);
    if (current == NULL || !consul_cert_claims_connect(current))
        current = e->leaf;
    if (current == NULL) {
        consul_error_set(err, CONSUL_R_OWN_IDENTITY_INVALID, "there is no certificate");
        return NULL;
    }
    return consul_spiffe_id_of_cert(current, space, err) ? space : NULL;
}

/* Get the live leaf. A client that may show its certificate next is asked about ahead. */
static int get_live_leaf(endpoint *e, const SSL *ssl, consul_leaf **leaf, consul_error *err)
{
    consul_asking asking;
    int ok;

    if (e->stand_in != NULL && e->stand_in->kind != CONSUL_URI_LEAF)
        return consul_error_set(
            err, CONSUL_R_OWN_IDENTITY_INVALID,
            "the stand-in certificate does not say of what: it needs one URI in "
            "its subjectAltName, as in URI:consul:leaf/web");
    if (e->store == NULL)
        return consul_error_set(err, CONSUL_R_NOT_ACTIVE,
                                "the live leaf cannot be fetched without the provider");
    asking = endpoint_begin_asking(e);
    ok = consul_store_leaf(e->store, e->stand_in == NULL ? NULL : e->stand_in->service,
                           e->stand_in == NULL ? NULL : &e->stand_in->scope, asking, leaf, err);
    endpoint_end_asking(e, &asking);
    asking.connection = SSL_get_rfd(ssl);
    if (ok && SSL_is_server(ssl))
        consul_store_ask_ahead(e->store, asking, true);
    return ok;
}

int endpoint_present_leaf(endpoint *e, SSL *ssl, consul_error *err)
{
    consul_leaf *leaf = NULL;
    int ok;

    if (!e->presents_live_leaf)
        return 1;
    if (!get_live_leaf(e, ssl, &leaf, err))
        return 0;
    /* The application's own certificates would be chosen for their type of key. */
    SSL_certs_clear(ssl);
    consul_leaf_unref(e->ours);
    e->ours = leaf; /* before libssl asks us about it */
    prov_board_show_leaf(leaf);
    ok = SSL_use_cert_and_key(ssl, consul_leaf_cert(leaf), consul_leaf_key(leaf),
                              (STACK_OF(X509) *)consul_leaf_chain(leaf), 1);
    if (ok != 1)
        consul_error_set(err, CONSUL_R_OWN_IDENTITY_INVALID,
                         "OpenSSL does not accept the leaf of \"%s\"",
                         consul_leaf_id(leaf)->service);
    return ok == 1;
}

void endpoint_withdraw_leaf(endpoint *e, SSL *ssl)
{
    if (endpoint_has_identity(e) || !endpoint_is_ours(e, SSL_get_certificate(ssl)))
        return;
    SSL_certs_clear(ssl);
    consul_leaf_unref(e->ours);
    e->ours = NULL;
}

bool endpoint_has_certificates(const endpoint *e)
{
    return e->seen_count != 0;
}
