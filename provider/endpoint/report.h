/* SPDX-License-Identifier: Apache-2.0 */
/* Why a handshake is refused: in the log and on the error queue. In the thread that drives the SSL. */
#ifndef PROV_ENDPOINT_REPORT_H
#define PROV_ENDPOINT_REPORT_H

#include "endpoint/endpoint.h"

/*
 * Write to the log why its handshake is refused, with its service and the peer's address. Later causes
 * of the same handshake are left out, as they follow from the first.
 */
void endpoint_log(endpoint *e, const SSL *ssl, const consul_error *err, const char *context);

/* Write it to the log in the same way, and put it on the error queue. */
void endpoint_report(endpoint *e, const SSL *ssl, const consul_error *err, const char *context);

/* Report the refusal of a peer with this certificate, which may be NULL and need not be verified. */
void endpoint_report_peer(endpoint *e, const SSL *ssl, const consul_error *err, const X509 *peer);

/* Count its peer, which is admitted. */
void endpoint_count_admitted(const endpoint *e, const SSL *ssl);

/* Return true if the cause of its refusal was reported. */
bool endpoint_was_reported(const endpoint *e);

/* Write once in a family of processes which service is governed, and by what. Repeated calls are cheap. */
void endpoint_log_start(endpoint *e, const SSL *ssl);

/* Write to the audit that the peer was admitted, after its handshake, if the setting audit asks for it. */
void endpoint_log_admitted(endpoint *e, const SSL *ssl);

#endif
