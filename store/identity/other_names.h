/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a leaf beside its SPIFFE ID. Consul signs all DNS names and addresses that a service
 * asks for. Vault and AWS sign its subject, too. So no such name identifies a peer. Pure functions,
 * for any thread.
 */
#ifndef CONSUL_IDENTITY_OTHER_NAMES_H
#define CONSUL_IDENTITY_OTHER_NAMES_H

#include "identity/spiffe.h"

enum consul_names {
    CONSUL_NAMES_NONE,   /* its SPIFFE ID, and perhaps the common name of Consul 1.8 for it */
    CONSUL_NAMES_HOSTS,  /* DNS names or addresses too, as ingress gateways have */
    CONSUL_NAMES_FOREIGN /* any other subject or name, which no leaf of Consul's own CA has */
};

/* Return the kind of a certificate's names beside its SPIFFE ID. Return FOREIGN without memory. */
enum consul_names consul_cert_names(const X509 *cert, const consul_spiffe_id *id);

#endif
