/* SPIFFE IDs of Connect services, and certificates that claim one. Pure functions; any thread. */
#ifndef CONSUL_IDENTITY_SPIFFE_H
#define CONSUL_IDENTITY_SPIFFE_H

#include "identity/uri.h"

#include <openssl/x509.h>

/* The SPIFFE ID of a Connect service: spiffe://<trust domain>[/ap/P]/ns/N/dc/D/svc/S */
typedef struct consul_spiffe_id {
    char uri[CONSUL_URI_MAX + 1]; /* as it stood in the certificate */
    char trust_domain[CONSUL_NAME_MAX + 1];
    char service[CONSUL_NAME_MAX + 1];
    consul_scope scope; /* a missing /ap/ is "default" */
} consul_spiffe_id;

/* Parse the SPIFFE ID of a service; anything else, a gateway or an agent too, is an error. */
int consul_spiffe_id_parse(const char *text, size_t len, consul_spiffe_id *id, consul_error *err);

/* The service SPIFFE ID of a certificate, held to the X509-SVID rules for leaves. */
int consul_spiffe_id_of_cert(const X509 *cert, consul_spiffe_id *id, consul_error *err);

/* Is this the ID of that service? Empty fields of the scope are not compared. */
bool consul_spiffe_id_is(const consul_spiffe_id *id, const char *service,
                         const consul_scope *scope);

/*
 * Does this certificate claim to be a Connect leaf? Broader than consul_spiffe_id_of_cert: a
 * malformed claim is a claim, so that it is refused and not taken for ordinary TLS.
 */
bool consul_cert_claims_connect(const X509 *cert);

/* Does it claim any SPIFFE ID in this trust domain, or in any for NULL? As broad. */
bool consul_cert_claims_trust_domain(const X509 *cert, const char *trust_domain);

#endif
