/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPIFFE IDs of Connect services, and certificates that claim one. The rules are those of the
 * SPIFFE-ID and X509-SVID standards. Consul's own parser is more lenient: it decodes percent signs
 * and accepts any host. A verifier must not be. Pure functions, for any thread.
 */
#ifndef CONSUL_IDENTITY_SPIFFE_H
#define CONSUL_IDENTITY_SPIFFE_H

#include "identity/uri.h"

#include <openssl/x509.h>

/* The SPIFFE ID of a Connect service: spiffe://<trust domain>[/ap/P]/ns/N/dc/D/svc/S */
typedef struct consul_spiffe_id {
    char uri[CONSUL_URI_MAX + 1];           /* the whole URI as in the certificate */
    char trust_domain[CONSUL_NAME_MAX + 1]; /* in lower case */
    char service[CONSUL_NAME_MAX + 1];
    consul_scope scope; /* the partition is "default" without /ap/ */
} consul_spiffe_id;

/*
 * Parse the SPIFFE ID of a service. Return 0 with an error for any other text. IDs of gateways and
 * of agents are errors, too.
 */
int consul_spiffe_id_parse(const char *text, size_t len, consul_spiffe_id *id, consul_error *err);

/*
 * Parse the SPIFFE ID of a service in a certificate. Return 0 with an error unless the certificate
 * follows the X509-SVID rules for leaves. OpenSSL's error queue stays as it was.
 */
int consul_spiffe_id_of_cert(const X509 *cert, consul_spiffe_id *id, consul_error *err);

/* Return true where the ID is of this service. Empty fields of `scope` are not compared. */
bool consul_spiffe_id_is(const consul_spiffe_id *id, const char *service,
                         const consul_scope *scope);

/*
 * Return true where a certificate claims to be a Connect leaf. A malformed claim is a claim, unlike
 * in consul_spiffe_id_of_cert. So it is refused, and is not taken for ordinary TLS.
 */
bool consul_cert_claims_connect(const X509 *cert);

/*
 * Return true where a certificate claims a SPIFFE ID in this trust domain, or in any for NULL. A
 * malformed claim is a claim here, too.
 */
bool consul_cert_claims_trust_domain(const X509 *cert, const char *trust_domain);

/*
 * Return true where a certificate has a URI of the scheme "spiffe", in whatever form. Consul signs no leaf without one.
 * Some forms name no trust domain, as spiffe:/agent/... does.
 */
bool consul_cert_may_be_of_a_mesh(const X509 *cert);

/*
 * Return true where a certificate may be an agent's. It has no such URI, or an agent's alone, as Consul issues it by
 * auto_encrypt or auto_config. A service can have Consul sign any DNS name and address for its leaf.
 */
bool consul_cert_may_be_of_an_agent(const X509 *cert);

#endif
