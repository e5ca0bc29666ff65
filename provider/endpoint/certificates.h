/* The certificates of an end: those of the application, and the live leaf. In the thread that drives the SSL. */
#ifndef PROV_ENDPOINT_CERTIFICATES_H
#define PROV_ENDPOINT_CERTIFICATES_H

#include "endpoint/endpoint.h"

/* Look at the SSL's certificates where they have changed, and tell whether they have. */
bool endpoint_look_at_certificates(endpoint *e, SSL *ssl);

/*
 * Was it judged with the certificate that the SSL presents now? Another that it may present can have
 * come all the same.
 */
bool endpoint_has_seen(const endpoint *e, const SSL *ssl);

/*
 * The application is giving this certificate to the SSL in its handshake: it is judged with it from now
 * on. The endpoint has been judged before.
 */
void endpoint_add_certificate(endpoint *e, X509 *cert);

/* Is this the live leaf, which we have put there? NULL is not. */
bool endpoint_is_ours(const endpoint *e, const X509 *cert);

/* Is it Connect by what the application has given it? */
bool endpoint_has_identity(const endpoint *e);

/*
 * Give the SSL the live leaf of its service, and nothing else to present. A no-op for endpoints
 * without one.
 */
int endpoint_present_leaf(endpoint *e, SSL *ssl, consul_error *err);

/*
 * The Connect identity of this end, as it stands in the certificate that it presents; NULL on failure.
 * Borrowed: of the live leaf, until another is presented, or of `space`.
 */
const consul_spiffe_id *endpoint_identity(const endpoint *e, const SSL *ssl,
                                          consul_spiffe_id *space, consul_error *err);

/* Return true if the SSL had a certificate with a key when it was judged. */
bool endpoint_has_certificates(const endpoint *e);

/* Free all of them, with the endpoint. */
void endpoint_free_certificates(endpoint *e);

#endif
