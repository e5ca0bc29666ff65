/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/peer_names.h"

#include "endpoint/certificates.h"

#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/x509v3.h>

int prov_peer_refuse(peer_check *check, int x509_error, consul_error *err, int reason,
                     const char *text)
{
    check->x509_error = x509_error;
    return consul_error_set(err, reason, "%s", text);
}

/* Return true if OpenSSL is to look for a name that no SPIFFE ID answers. No leaf has such a name. */
static bool wants_name(const peer_check *check)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(check->ctx);
    char *address = X509_VERIFY_PARAM_get1_ip_asc(param);
    bool wants =
        address != NULL || X509_VERIFY_PARAM_get0_email(param) != NULL
        || (!endpoint_host_is_service(check->end) && X509_VERIFY_PARAM_get0_host(param, 0) != NULL);

    OPENSSL_free(address);
    return wants;
}

#define CONNECT_BY ": connect by the name of a service, or by one that upstreams maps to it"

int prov_peer_verify_names(peer_check *check, consul_error *err)
{
    bool is_server = SSL_is_server(check->ssl);
    const char *sni = SSL_get_servername(check->ssl, TLSEXT_NAMETYPE_host_name);
    enum consul_names names = consul_cert_names(check->cert, &check->id);

    check->x509_error = is_server ? X509_V_ERR_CERT_REJECTED : X509_V_ERR_HOSTNAME_MISMATCH;
    if (wants_name(check))
        return consul_error_set(err, CONSUL_R_PEER_NAME_MISMATCH,
                                "the application has OpenSSL look for a host name or an address, "
                                "and in a Connect leaf none counts" CONNECT_BY);
    if (is_server && names > CONSUL_NAMES_HOSTS)
        return consul_error_set(err, CONSUL_R_PEER_NOT_A_SERVICE,
                                "\"%s\" has a subject or a name that Consul gives to no service; "
                                "a program could take it for a user of that name",
                                check->id.uri);
    if (!is_server && names > CONSUL_NAMES_NONE && endpoint_wanted(check->end) == NULL)
        return consul_error_set(err, CONSUL_R_PEER_NAME_MISMATCH,
                                "\"%s\" has other names in its leaf, which count for nothing, and "
                                "no service was asked for (but %s)" CONNECT_BY,
                                check->id.uri, sni == NULL ? "by no name" : sni);
    return 1;
}

static void fill_in(char field[CONSUL_NAME_MAX + 1], const char *own)
{
    if (*field == '\0')
        OPENSSL_strlcpy(field, own, CONSUL_NAME_MAX + 1);
}

int prov_peer_verify_service(peer_check *check, consul_error *err)
{
    const consul_spiffe_id *own = endpoint_identity(check->end, check->ssl, &check->own, err);
    consul_service wanted = *endpoint_wanted(check->end);
    char text[CONSUL_ERROR_TEXT_MAX];

    if (own == NULL)
        return 0;
    fill_in(wanted.scope.ns, own->scope.ns);
    fill_in(wanted.scope.partition, own->scope.partition);
    fill_in(wanted.scope.dc, own->scope.dc);
    if (consul_spiffe_id_is(&check->id, wanted.name, &wanted.scope))
        return 1;
    if (*wanted.name == '\0' && wanted.is_label)
        return prov_peer_refuse(check, X509_V_ERR_HOSTNAME_MISMATCH, err,
                                CONSUL_R_PEER_NAME_MISMATCH,
                                "the host name asks for no service of this mesh; a cluster peer, a "
                                "sameness group and a malformed name are such; see upstreams");
    if (wanted.is_label)
        consul_lower_case(wanted.name);
    if (consul_spiffe_id_is(&check->id, wanted.name, &wanted.scope))
        return 1;
    snprintf(text, sizeof(text),
             "\"%s\" is not the service \"%s\" (namespace \"%s\", datacenter \"%s\") that the host "
             "name asks for",
             check->id.uri, wanted.name, wanted.scope.ns, wanted.scope.dc);
    return prov_peer_refuse(check, X509_V_ERR_HOSTNAME_MISMATCH, err, CONSUL_R_PEER_NAME_MISMATCH,
                            text);
}
