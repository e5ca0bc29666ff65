#include "endpoint/report.h"

#include "endpoint/fields.h"
#include "report/error_queue.h"
#include "report/log.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Write "service web, peer 192.0.2.7 port 4711", as far as these are known. */
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

bool endpoint_was_reported(const endpoint *e)
{
    return e->reported;
}
