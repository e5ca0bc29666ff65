/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a peer, and the names that it was asked for by. In the thread that drives the SSL. */
#ifndef PROV_TLS_PEER_NAMES_H
#define PROV_TLS_PEER_NAMES_H

#include "tls/peer_check.h"

/*
 * Refuse a peer that could pass for a host or a user by another name of its leaf. OpenSSL may look for
 * that name, or the application may do so later by itself. A client that asks for a service gets that
 * service, whatever other names its leaf has. An ingress gateway has DNS names, and is a client like
 * others. Returns 0 for a refused peer.
 */
int prov_peer_verify_names(peer_check *check, consul_error *err);

/*
 * Check that the peer is the service of the host name, by Consul's DNS or by the table
 * `upstreams`. Parts that the name leaves out are those of this end, as its resolver takes them.
 */
int prov_peer_verify_service(peer_check *check, consul_error *err);

/* Refuse the peer, with the code from which libssl makes the alert. Returns 0. */
int prov_peer_refuse(peer_check *check, int x509_error, consul_error *err, int reason,
                     const char *text);

#endif
