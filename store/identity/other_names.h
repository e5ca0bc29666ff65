/* The names of a leaf beside its SPIFFE ID. Pure functions; any thread. */
#ifndef CONSUL_IDENTITY_OTHER_NAMES_H
#define CONSUL_IDENTITY_OTHER_NAMES_H

#include "identity/spiffe.h"

enum consul_names {
    CONSUL_NAMES_NONE,   /* its SPIFFE ID, and perhaps the name by which Consul 1.8 repeats it */
    CONSUL_NAMES_HOSTS,  /* DNS names or addresses too, as ingress gateways have */
    CONSUL_NAMES_FOREIGN /* any other subject or name, which Consul by itself gives to nobody */
};

/*
 * What is a certificate of that identity called besides? None of it proves anything: a service has
 * whatever names it asks for. FOREIGN also for want of memory.
 */
enum consul_names consul_cert_names(const X509 *cert, const consul_spiffe_id *id);

#endif
