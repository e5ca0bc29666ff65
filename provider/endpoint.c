#include "endpoint.h"

#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/crypto.h>

#define ASKED_ONCE_US 1000000 /* of a handshake, in which nothing is asked twice */

/*
 * Some programs keep things of their own with an SSL under numbers that they never asked for, of which
 * 16 is the highest known. Ours is beyond these.
 */
#define SSL_INDEX_LEAST 17

static int ssl_index = -1; /* of an endpoint */

/* ---- which SSLs there are ---- */

#define ALIVE_ROWS 4096
#define ALIVE_IN_A_ROW 8

/* By address, in whichever place of its row was free. No lock, which a fork might leave held. */
static _Atomic(const void *) alive[ALIVE_ROWS][ALIVE_IN_A_ROW];

/* Put `now` where `before` is in the row of this address; false if that is nowhere. */
static bool exchange_alive(const void *ssl, const void *before, const void *now)
{
    size_t i, row = (size_t)(((uintptr_t)ssl >> 4) * 0x9e3779b1U >> 8) % ALIVE_ROWS;

    for (i = 0; i < ALIVE_IN_A_ROW; i++) {
        const void *there = before;

        if (atomic_compare_exchange_strong(&alive[row][i], &there, now))
            return true;
    }
    return false;
}

bool endpoint_is_alive(const void *ssl)
{
    return exchange_alive(ssl, ssl, ssl);
}

static void note_ssl(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    exchange_alive(parent, NULL, parent);
}

/* ---- endpoints ---- */

/* Stands for nothing, where there is no memory to keep what a stand-in says. */
static const consul_uri unknown = {.kind = CONSUL_URI_ROOTS};

static void free_stand_in(endpoint *e)
{
    if (e->stand_in != &unknown)
        OPENSSL_free((consul_uri *)e->stand_in);
    e->stand_in = NULL;
}

static void free_endpoint(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                          void *argp)
{
    endpoint *e = ptr;

    exchange_alive(parent, parent, NULL);
    if (e == NULL)
        return;
    while (e->seen_count > 0)
        X509_free(e->seen[--e->seen_count]);
    X509_free(e->current);
    X509_free(e->leaf);
    consul_leaf_unref(e->ours);
    free_stand_in(e);
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

/* ---- its certificates ---- */

/* One that was loaded by URI is presented live; without memory, as it was loaded. */
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
        e->stand_in = &unknown;
    X509_free(e->leaf);
    e->leaf = NULL;
}

/* The certificates that this SSL may present. OpenSSL has only the current one to be asked for. */
static size_t list_certificates(SSL *ssl, X509 *certs[ENDPOINT_CERTS_MAX])
{
    X509 *current = SSL_get_certificate(ssl);
    size_t count = 0;
    long more;

    for (more = SSL_set_current_cert(ssl, SSL_CERT_SET_FIRST);
         more == 1 && count < ENDPOINT_CERTS_MAX;
         more = SSL_set_current_cert(ssl, SSL_CERT_SET_NEXT))
        certs[count++] = SSL_get_certificate(ssl);
    if (current != NULL)
        SSL_select_current_cert(ssl, current);
    return count;
}

/*
 * Find the stand-in among the certificates that this SSL may present, or else the Connect leaf, the
 * current one first. Where there is neither, what was known stays: a connection that was governed
 * does not cease to be when SNI gives it other certificates.
 */
static void find_identity(endpoint *e, X509 *const certs[], size_t count, const X509 *current)
{
    X509 *leaf = NULL;
    consul_uri uri;
    size_t i;

    for (i = 0; i < count; i++) {
        X509 *cert = certs[i];

        if (endpoint_is_ours(e, cert))
            continue;
        if (consul_cert_stands_in(cert, &uri)) {
            take_stand_in(e, &uri);
            leaf = NULL;
            break;
        }
        if ((leaf == NULL || cert == current) && consul_cert_claims_connect(cert))
            leaf = cert;
    }
    if (leaf != NULL)
        take_leaf(e, leaf);
}

void endpoint_expect(endpoint *e, X509 *cert)
{
    find_identity(e, &cert, 1, cert);
    e->ctx = NULL; /* so that it is judged anew */
}

/* Look at the SSL's certificates where they have changed, and tell whether they have. */
static bool look_at_certificates(endpoint *e, SSL *ssl)
{
    X509 *certs[ENDPOINT_CERTS_MAX], *current = SSL_get_certificate(ssl);
    const SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);
    size_t i, count = list_certificates(ssl, certs);

    /* All of them: a key that comes after its certificate, say, leaves the current one as it is. */
    if (e->ctx == ctx && e->current == current && e->seen_count == count
        && memcmp(e->seen, certs, count * sizeof(certs[0])) == 0)
        return false;
    find_identity(e, certs, count, current);
    for (i = 0; i < count; i++)
        X509_up_ref(certs[i]);
    while (e->seen_count > 0)
        X509_free(e->seen[--e->seen_count]);
    memcpy(e->seen, certs, count * sizeof(certs[0]));
    e->seen_count = count;
    if (current != NULL)
        X509_up_ref(current);
    X509_free(e->current);
    e->current = current;
    e->ctx = ctx;
    return true;
}

bool endpoint_has_seen(const endpoint *e, const SSL *ssl)
{
    return e->begun && e->ctx == SSL_get_SSL_CTX(ssl) && e->current == SSL_get_certificate(ssl);
}

bool endpoint_has_identity(const endpoint *e)
{
    return e->leaf != NULL || e->stand_in != NULL;
}

bool endpoint_is_ours(const endpoint *e, const X509 *cert)
{
    return e->ours != NULL && cert == consul_leaf_cert(e->ours);
}

const consul_spiffe_id *endpoint_identity(const endpoint *e, const SSL *ssl,
                                          consul_spiffe_id *space, consul_error *err)
{
    const X509 *current = SSL_get_certificate(ssl);

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

consul_asking endpoint_begin_asking(endpoint *e)
{
    consul_asking asking = consul_asking_now();

    asking.hurries = true;
    if (!e->asked)
        consul_store_expect(e->store);
    /* A peer may take its time, beside what the agent took, and is verified by what counts then. */
    if (!e->asked || asking.since - e->asked_since - 1000 * e->waited > ASKED_ONCE_US)
        e->asked_since = asking.since;
    e->asked = true;
    asking.since = e->asked_since;
    asking.deadline =
        consul_deadline_after(consul_store_settings(e->store)->authorize_timeout - e->waited);
    return asking;
}

void endpoint_end_asking(endpoint *e, const consul_asking *asking)
{
    e->waited = consul_deadline_after(consul_store_settings(e->store)->authorize_timeout)
                - asking->deadline;
}

static int get_live_leaf(endpoint *e, consul_leaf **leaf, consul_error *err)
{
    consul_asking asking;
    int ok;

    if (e->stand_in != NULL && e->stand_in->kind != CONSUL_URI_LEAF)
        return consul_error_set(
            err, CONSUL_R_OWN_IDENTITY_INVALID,
            "the stand-in certificate does not say of what: it needs one URI in "
            "its subjectAltName, as in URI:consul:leaf/web");
    if (e->store == NULL)
        return consul_error_set(err, CONSUL_R_NOT_ACTIVE, "nobody can fetch the live leaf");
    asking = endpoint_begin_asking(e);
    ok = consul_store_leaf(e->store, e->stand_in == NULL ? NULL : e->stand_in->service,
                           e->stand_in == NULL ? NULL : &e->stand_in->scope, asking, leaf, err);
    endpoint_end_asking(e, &asking);
    return ok;
}

int endpoint_present_leaf(endpoint *e, SSL *ssl, consul_error *err)
{
    consul_leaf *leaf = NULL;
    int ok;

    if (!e->has_service)
        return 1;
    if (!get_live_leaf(e, &leaf, err))
        return 0;
    /* The application's own certificates would be chosen for their type of key. */
    SSL_certs_clear(ssl);
    consul_leaf_unref(e->ours);
    e->ours = leaf; /* before libssl asks us about it */
    ok = SSL_use_cert_and_key(ssl, consul_leaf_cert(leaf), consul_leaf_key(leaf),
                              (STACK_OF(X509) *)consul_leaf_chain(leaf), 1);
    if (ok != 1)
        consul_error_set(err, CONSUL_R_OWN_IDENTITY_INVALID,
                         "OpenSSL does not accept the leaf of \"%s\"",
                         consul_leaf_id(leaf)->service);
    return ok == 1;
}

/* ---- its rule ---- */

/* A leaf that the application has from elsewhere is presented as it is. */
static bool has_service(const endpoint *e)
{
    if (e->stand_in != NULL)
        return true;
    return e->leaf == NULL
           && (e->store != NULL && consul_store_settings(e->store)->service != NULL);
}

/* Does this host name ask for a Consul service? Then nothing else will do. */
static bool asks_for_service(endpoint *e, const char *host)
{
    if (!prov_upstream(host, &e->wanted)
        && consul_host_parse(host, consul_store_settings(e->store)->domain, &e->wanted)
               == CONSUL_HOST_OTHER)
        return false;
    e->has_wanted = true; /* a malformed name is a service without a name, which is nobody */
    return true;
}

/*
 * The hosts that a client asks for: what it has OpenSSL check, and what it sends as SNI. The SPIFFE
 * ID stands in for OpenSSL's check only where that one asks for the service.
 */
static bool look_at_hosts(endpoint *e, SSL *ssl)
{
    const char *host;
    int i;

    for (i = 0; (host = X509_VERIFY_PARAM_get0_host(SSL_get0_param(ssl), i)) != NULL; i++) {
        if (asks_for_service(e, host)) {
            e->host_is_service = true;
            return true;
        }
    }
    host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    return host != NULL && asks_for_service(e, host);
}

/*
 * Has a service required Connect whose instance was unloaded? Nobody can say who may connect to it,
 * and an instance without one, that is still there, can not either.
 */
static bool was_required(const endpoint *e, bool inbound)
{
    return (e->store == NULL || consul_store_settings(e->store)->service == NULL)
           && prov_was_required(inbound);
}

static enum endpoint_rule rule_of_server(const endpoint *e)
{
    bool required = e->store != NULL && e->has_service
                    && consul_store_settings(e->store)->inbound == CONSUL_DEMAND_REQUIRE;

    return endpoint_has_identity(e) || required || was_required(e, true) ? ENDPOINT_GOVERNED
                                                                         : ENDPOINT_LEFT_ALONE;
}

static enum endpoint_rule rule_of_client(endpoint *e, SSL *ssl)
{
    enum consul_demand outbound = CONSUL_DEMAND_OFF;
    bool names_service;

    if (was_required(e, false))
        outbound = CONSUL_DEMAND_REQUIRE;
    else if (e->store != NULL && e->has_service)
        outbound = consul_store_settings(e->store)->outbound;
    if (!endpoint_has_identity(e) && outbound == CONSUL_DEMAND_OFF)
        return ENDPOINT_LEFT_ALONE;
    names_service = e->store != NULL && look_at_hosts(e, ssl);
    if (endpoint_has_identity(e) || names_service || outbound == CONSUL_DEMAND_REQUIRE)
        return ENDPOINT_GOVERNED;
    return ENDPOINT_BY_PEER;
}

static void begin(endpoint *e)
{
    consul_error why = {0};

    consul_store_unref(e->store);
    e->store = prov_active_store(&why);
    e->unusable = e->store == NULL && why.reason != CONSUL_R_NOT_ACTIVE;
    e->stopped = false;
    e->held_back = false;
    e->asked = false;
    e->waited = 0;
    e->reported = false;
    e->has_wanted = false;
    e->host_is_service = false;
    e->prepared = false;
    e->unknown = false;
    e->rule = e->unusable ? ENDPOINT_GOVERNED : ENDPOINT_LEFT_ALONE;
    e->peer = ENDPOINT_PEER_UNKNOWN;
    e->begun = true;
}

/*
 * Has another handshake begun than the one that was judged last? Its random number tells, which libssl
 * makes anew for each and no peer chooses; it is all zero until it is made.
 */
static bool is_another_handshake(endpoint *e, const SSL *ssl)
{
    static const unsigned char none[SSL3_RANDOM_SIZE];
    unsigned char now[SSL3_RANDOM_SIZE] = {0};
    bool known = memcmp(e->random, none, sizeof(none)) != 0, same;

    if (SSL_is_server(ssl))
        SSL_get_server_random(ssl, now, sizeof(now));
    else
        SSL_get_client_random(ssl, now, sizeof(now));
    same = memcmp(e->random, now, sizeof(now)) == 0;
    memcpy(e->random, now, sizeof(now));
    return known && !same;
}

enum endpoint_rule endpoint_judge(endpoint *e, SSL *ssl)
{
    /* Before the first message of each handshake everything may still change. */
    bool changed = is_another_handshake(e, ssl) || !e->begun || SSL_get_state(ssl) == TLS_ST_BEFORE;
    enum endpoint_rule rule;

    if (changed)
        begin(e);
    changed |= look_at_certificates(e, ssl);
    e->has_service = has_service(e);
    if (changed && e->rule != ENDPOINT_GOVERNED) {
        rule = SSL_is_server(ssl) ? rule_of_server(e) : rule_of_client(e, ssl);
        if (rule > e->rule) /* never back */
            e->rule = rule;
    }
    return e->rule;
}

/* ---- what is told of it ---- */

/* "service web, peer 192.0.2.7:4711", as far as these are known. */
static void describe(const endpoint *e, const SSL *ssl, char *text, size_t size)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    char host[64], port[16];
    const char *service = NULL;
    consul_spiffe_id id;
    int saved = errno; /* of the host's, as in prov_log */

    if (e->stand_in != NULL && e->stand_in->service[0] != '\0')
        service = e->stand_in->service;
    else if (e->leaf != NULL && consul_spiffe_id_of_cert(e->leaf, &id, NULL))
        service = id.service;
    else if (e->store != NULL)
        service = consul_store_settings(e->store)->service;
    snprintf(text, size, "service %s", service == NULL ? "unknown" : service);
    if (getpeername(SSL_get_fd(ssl), (struct sockaddr *)&address, &len) == 0
        && (address.ss_family == AF_INET || address.ss_family == AF_INET6)
        && getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
                       NI_NUMERICHOST | NI_NUMERICSERV)
               == 0)
        snprintf(text + strlen(text), size - strlen(text), ", peer %s port %s", host, port);
    errno = saved;
}

#define DESCRIPTION_MAX (CONSUL_NAME_MAX + 128)

void endpoint_log(endpoint *e, const SSL *ssl, const consul_error *err, const char *context)
{
    char about[DESCRIPTION_MAX];

    if (e->reported)
        return;
    describe(e, ssl, about, sizeof(about));
    prov_log(err, context, about);
    e->reported = true;
}

void endpoint_report(endpoint *e, const SSL *ssl, const consul_error *err, const char *context)
{
    endpoint_log(e, ssl, err, context);
    prov_error_queue(err, context);
}
