/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/report.h"

#include "endpoint/fields.h"
#include "report/board.h"
#include "report/error_queue.h"
#include "report/events.h"
#include "report/log.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/crypto.h>

/* The strings of a record about one endpoint. */
typedef struct origin {
    consul_spiffe_id id;
    char host[64], port[16];
    char local_host[64], local_port[16];
    char client_random[2 * SSL3_RANDOM_SIZE + 1];
} origin;

/* Return the service that an endpoint is, or "unknown". Borrowed, of `id` or longer. */
static const char *service_of(const endpoint *e, consul_spiffe_id *id)
{
    const char *service = NULL;

    if (e->stand_in != NULL && e->stand_in->service[0] != '\0')
        service = e->stand_in->service;
    else if (e->leaf != NULL && consul_spiffe_id_of_cert(e->leaf, id, NULL))
        service = id->service;
    else if (e->store != NULL)
        service = consul_store_settings(e->store)->service;
    return service == NULL ? "unknown" : service;
}

/* Write the number and the port of an address of TCP or UDP. Return false for another one. */
static bool write_address(const struct sockaddr_storage *address, socklen_t len, char host[64],
                          char port[16])
{
    return (address->ss_family == AF_INET || address->ss_family == AF_INET6)
           && getnameinfo((const struct sockaddr *)address, len, host, 64, port, 16,
                          NI_NUMERICHOST | NI_NUMERICSERV)
                  == 0;
}

/*
 * Write the random number of the client, which names the handshake where the address is not known. Return NULL
 * before it is known.
 */
static const char *client_random_of(const SSL *ssl, char text[2 * SSL3_RANDOM_SIZE + 1])
{
    static const unsigned char none[SSL3_RANDOM_SIZE];
    unsigned char random[SSL3_RANDOM_SIZE];
    size_t len = SSL_get_client_random(ssl, random, sizeof(random)), i;

    for (i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", random[i]);
    return len == 0 || memcmp(random, none, len) == 0 ? NULL : text;
}

/* Fill in both ends of a connection, as far as they are known. */
static void describe(const endpoint *e, const SSL *ssl, origin *of, prov_record *record)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    int saved = errno; /* the host's */

    record->role = SSL_is_server(ssl) ? "server" : "client";
    record->service = service_of(e, &of->id);
    record->client_random = client_random_of(ssl, of->client_random);
    if (!SSL_is_server(ssl))
        record->name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (getpeername(SSL_get_fd(ssl), (struct sockaddr *)&address, &len) == 0
        && write_address(&address, len, of->host, of->port)) {
        record->address = of->host;
        record->port = of->port;
    }
    len = sizeof(address);
    if (getsockname(SSL_get_fd(ssl), (struct sockaddr *)&address, &len) == 0
        && write_address(&address, len, of->local_host, of->local_port)) {
        record->local_address = of->local_host;
        record->local_port = of->local_port;
    }
    errno = saved;
}

/* Return the SPIFFE ID of a certificate, as its holder claims it, or NULL. Free with OPENSSL_free. */
static consul_spiffe_id *id_of(const X509 *cert)
{
    consul_spiffe_id *id = cert == NULL ? NULL : OPENSSL_malloc(sizeof(*id));

    if (id != NULL && consul_spiffe_id_of_cert(cert, id, NULL))
        return id;
    OPENSSL_free(id);
    return NULL;
}

/* Write why its handshake is refused, once in a handshake. `peer` is NULL without a certificate. */
static void log_refusal(endpoint *e, const SSL *ssl, const consul_error *err, const char *context,
                        const X509 *peer)
{
    char message[CONSUL_ERROR_TEXT_MAX + 64];
    prov_record record = {.level = CONSUL_LOG_WARNING,
                          .event = "peer_refused",
                          .reason = consul_reason_text(err->reason),
                          .message = message};
    consul_spiffe_id *id;
    origin of;

    if (e->reported)
        return;
    e->reported = true;
    prov_board_count_refused(err->reason);
    if (!prov_log_wants(record.level))
        return;
    snprintf(message, sizeof(message), "%s%s%s", context == NULL ? "" : context,
             context == NULL || *err->text == '\0' ? "" : ": ", err->text);
    id = id_of(peer);
    record.peer = id == NULL ? NULL : id->uri;
    describe(e, ssl, &of, &record);
    prov_log(&record);
    OPENSSL_free(id);
}

void endpoint_log(endpoint *e, const SSL *ssl, const consul_error *err, const char *context)
{
    log_refusal(e, ssl, err, context, NULL);
}

void endpoint_report(endpoint *e, const SSL *ssl, const consul_error *err, const char *context)
{
    endpoint_log(e, ssl, err, context);
    prov_error_queue(err, context);
}

void endpoint_report_peer(endpoint *e, const SSL *ssl, const consul_error *err, const X509 *peer)
{
    const char *context = SSL_is_server(ssl) ? "client refused" : "server refused";

    log_refusal(e, ssl, err, context, peer);
    prov_error_queue(err, context);
}

void endpoint_count_admitted(const endpoint *e, const SSL *ssl)
{
    if (SSL_is_server(ssl))
        prov_board_count_client(e->basis);
    else
        prov_board_count_server();
}

bool endpoint_was_reported(const endpoint *e)
{
    return e->reported;
}

/* Write it. Not inlined, as log_admitted: most calls of their callers write nothing, and would pay for the frames. */
static void __attribute__((noinline)) log_start(const endpoint *e, const SSL *ssl)
{
    consul_spiffe_id *id = OPENSSL_zalloc(sizeof(*id));
    char message[1024];

    if (id == NULL)
        return;
    snprintf(message, sizeof(message),
             "governing as \"%s\" by %s; agent %s; OpenSSL %s; provider %s", service_of(e, id),
             e->leaf != NULL       ? "a leaf"
             : e->stand_in != NULL ? "a stand-in"
                                   : "service",
             consul_store_settings(e->store)->address, OpenSSL_version(OPENSSL_VERSION_STRING),
             CONSUL_PROVIDER_VERSION);
    prov_log(&(prov_record){.level = CONSUL_LOG_INFO,
                            .event = "start",
                            .message = message,
                            .role = SSL_is_server(ssl) ? "server" : "client",
                            .service = service_of(e, id)});
    OPENSSL_free(id);
}

void endpoint_log_start(endpoint *e, const SSL *ssl)
{
    if (e->noted || SSL_in_before(ssl))
        return;
    e->noted = true;
    if (e->store != NULL && prov_events_note_handshake(SSL_is_server(ssl))
        && prov_log_wants(CONSUL_LOG_INFO))
        log_start(e, ssl);
}

static void __attribute__((noinline)) log_admitted(endpoint *e, const SSL *ssl)
{
    static const char *const bases[] = {
        [CONSUL_BASIS_QUESTION] = "question",
        [CONSUL_BASIS_KEPT] = "kept verdict",
        [CONSUL_BASIS_LAST_KNOWN] = "last-known verdict",
    };
    const X509 *peer = SSL_get0_peer_certificate(ssl);
    char message[CONSUL_URI_MAX + 192], serial[CONSUL_SERIAL_MAX];
    char fingerprint[CONSUL_FINGERPRINT_MAX];
    prov_record record = {.level = CONSUL_LOG_INFO,
                          .is_audit = true,
                          .event = "peer_admitted",
                          .message = message,
                          .serial = serial};
    consul_spiffe_id *id = id_of(peer);
    origin of;

    if (id == NULL)
        return;
    e->admitted = true;
    if (SSL_is_server(ssl))
        record.verdict = bases[e->basis];
    consul_cert_serial_text(peer, serial);
    consul_cert_fingerprint(peer, fingerprint);
    record.fingerprint = *fingerprint == '\0' ? NULL : fingerprint;
    snprintf(message, sizeof(message), "%s admitted: \"%s\"%s%s, serial %s",
             SSL_is_server(ssl) ? "client" : "server", id->uri,
             record.verdict == NULL ? "" : " by ", record.verdict == NULL ? "" : record.verdict,
             serial);
    record.peer = id->uri;
    describe(e, ssl, &of, &record);
    prov_log(&record);
    OPENSSL_free(id);
}

void endpoint_log_admitted(endpoint *e, const SSL *ssl)
{
    if (prov_log_audits() && !e->admitted && !e->stopped && e->peer == ENDPOINT_PEER_AUTHORIZED)
        log_admitted(e, ssl);
}
