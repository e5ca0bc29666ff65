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

/* Return true if the cause of its refusal was reported. */
bool endpoint_was_reported(const endpoint *e);

#endif
