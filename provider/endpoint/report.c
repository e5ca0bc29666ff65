#include "endpoint/report.h"

#include "endpoint/fields.h"
#include "report/error_queue.h"
#include "report/log.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The strings of a record about one endpoint. */
typedef struct origin {
    consul_spiffe_id own;
    char host[64], port[16];
} origin;

/* Return the service that an endpoint is, or "unknown". Borrowed, of `own` or longer. */
static const char *service_of(const endpoint *e, consul_spiffe_id *own)
{
    const char *service = NULL;

    if (e->stand_in != NULL && e->stand_in->service[0] != '\0')
        service = e->stand_in->service;
    else if (e->leaf != NULL && consul_spiffe_id_of_cert(e->leaf, own, NULL))
        service = own->service;
    else if (e->store != NULL)
        service = consul_store_settings(e->store)->service;
    return service == NULL ? "unknown" : service;
}

/* Fill in both ends of a connection, as far as they are known. */
static void describe(const endpoint *e, const SSL *ssl, origin *of, prov_record *record)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    int saved = errno; /* the host's */

    record->role = SSL_is_server(ssl) ? "server" : "client";
    record->service = service_of(e, &of->own);
    if (getpeername(SSL_get_fd(ssl), (struct sockaddr *)&address, &len) == 0
        && (address.ss_family == AF_INET || address.ss_family == AF_INET6)
        && getnameinfo((struct sockaddr *)&address, len, of->host, sizeof(of->host), of->port,
                       sizeof(of->port), NI_NUMERICHOST | NI_NUMERICSERV)
               == 0) {
        record->address = of->host;
        record->port = of->port;
    }
    errno = saved;
}

void endpoint_log(endpoint *e, const SSL *ssl, const consul_error *err, const char *context)
{
    char message[CONSUL_ERROR_TEXT_MAX + 64];
    prov_record record = {.level = CONSUL_LOG_WARNING, .event = "peer_refused"};
    origin of;

    if (e->reported)
        return;
    e->reported = true;
    if (!prov_log_wants(record.level))
        return;
    snprintf(message, sizeof(message), "%s%s%s", context == NULL ? "" : context,
             context == NULL || *err->text == '\0' ? "" : ": ", err->text);
    record.reason = consul_reason_text(err->reason);
    record.message = message;
    describe(e, ssl, &of, &record);
    prov_log(&record);
}

void endpoint_report(endpoint *e, const SSL *ssl, const consul_error *err, const char *context)
{
    endpoint_log(e, ssl, err, context);
    prov_error_queue(err, context);
}

bool endpoint_was_reported(const endpoint *e)
{
    return e->reported;
}
