/* Why a handshake is refused: in the log and on the error queue. In the thread that drives the SSL. */
#ifndef PROV_ENDPOINT_REPORT_H
#define PROV_ENDPOINT_REPORT_H

#include "endpoint/endpoint.h"

/*
 * Write to the log why its handshake is refused, with who it is and whom it met, if nothing was written
 * of this handshake yet: what follows has the same cause.
 */
void endpoint_log(endpoint *e, const SSL *ssl, const consul_error *err, const char *context);

/* The same, and put it on the error queue. */
void endpoint_report(endpoint *e, const SSL *ssl, const consul_error *err, const char *context);

/* Return true if the cause of its refusal was reported. */
bool endpoint_was_reported(const endpoint *e);

#endif
