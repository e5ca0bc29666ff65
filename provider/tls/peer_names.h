/* The names that a peer has, and those it was asked for by. In the thread that drives the SSL. */
#ifndef PROV_TLS_PEER_NAMES_H
#define PROV_TLS_PEER_NAMES_H

#include "tls/peer_check.h"

/*
 * A leaf's other names let nobody pass for a host or a user: not where OpenSSL looks for them, and not
 * where the application does so by itself, when we are through, for a name that we may never see. Only
 * where a service is asked for, it is that service whatever its leaf says besides. An ingress gateway
 * has DNS names, and is a client like others.
 */
int prov_peer_verify_names(peer_check *check, consul_error *err);

/*
 * The service that the host name asks for, by Consul's DNS or by the table `upstreams`. What a
 * name leaves out is our own: so it is resolved, too.
 */
int prov_peer_verify_service(peer_check *check, consul_error *err);

/* Refuse the peer, with the code from which libssl makes the alert. Returns 0. */
int prov_peer_refuse(peer_check *check, int x509_error, consul_error *err, int reason,
                     const char *text);

#endif
