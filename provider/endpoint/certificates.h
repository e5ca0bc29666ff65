/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates of an end: those of the application, and the live leaf. In the thread that drives the SSL. */
#ifndef PROV_ENDPOINT_CERTIFICATES_H
#define PROV_ENDPOINT_CERTIFICATES_H

#include "endpoint/endpoint.h"

/* Return true if the SSL has this very certificate, with a key. */
bool endpoint_ssl_has(SSL *ssl, const X509 *cert);

/* Look at all of the SSL's certificates, or at the current one, and return true if they have changed. */
bool endpoint_look_at_certificates(endpoint *e, SSL *ssl, bool at_all);

/* Have the next look go through all of them. Within a handshake the current one is enough otherwise. */
void endpoint_look_at_all_next(endpoint *e);

/*
 * Judge it with this certificate from now on, which the application gives to the SSL in its handshake. The
 * endpoint was judged before.
 */
void endpoint_add_certificate(endpoint *e, X509 *cert);

/* Return true if this is the live leaf that endpoint_present_leaf has put there; false for NULL. */
bool endpoint_is_ours(const endpoint *e, const X509 *cert);

/* Return true if the SSL had this certificate when it was judged, and no certificate made it Connect. */
bool endpoint_knows_as_ordinary(const endpoint *e, const X509 *cert);

/* Return true if a certificate of the application makes it Connect. */
bool endpoint_has_identity(const endpoint *e);

/*
 * Give the SSL the live leaf of its service, and nothing else to present. A no-op for endpoints
 * without one.
 */
int endpoint_present_leaf(endpoint *e, SSL *ssl, consul_error *err);

/*
 * Take the live leaf of the last handshake off an SSL that is used again. Its next server may be an ordinary one. It stays
 * where a certificate of the application makes the SSL Connect. To be called before the handshake.
 */
void endpoint_withdraw_leaf(endpoint *e, SSL *ssl);

/*
 * Note the certificate that a server shows in this handshake, or its leaf where it shows an ordinary certificate. Return false
 * for another certificate than the first. The application has replaced it then, while libssl made the message.
 */
bool endpoint_note_shown(endpoint *e, X509 *cert);

/* Expect a server to have its certificate noted. Without that it has no identity in this handshake. */
void endpoint_expect_shown(endpoint *e);

/*
 * Return the Connect identity of this end, as its presented certificate has it; NULL on failure. A server has presented the
 * certificate that was noted. Borrowed: from the live leaf, until another is presented, or from `space`.
 */
const consul_spiffe_id *endpoint_identity(const endpoint *e, const SSL *ssl,
                                          consul_spiffe_id *space, consul_error *err);

/* Return true if the SSL had a certificate with a key when it was judged. */
bool endpoint_has_certificates(const endpoint *e);

/* Return true if the SSL has another certificate, key or context than when it was judged. */
bool endpoint_has_another_certificate(const endpoint *e, const SSL *ssl);

/* Free all of them, with the endpoint. */
void endpoint_free_certificates(endpoint *e);

#endif
