/* SPDX-License-Identifier: Apache-2.0 */
/* One loaded instance of the provider. */
#ifndef PROV_INSTANCE_INSTANCE_H
#define PROV_INSTANCE_INSTANCE_H

#include "config/names.h"
#include "config/section.h"
#include "store.h"

#include <stdatomic.h>
#include <stdbool.h>

/* OpenSSL's provctx. Its fields are set in provider init, and by prov_instances_check. */
typedef struct prov_instance {
    prov_core core;
    consul_store *store;     /* for its URIs, in its own library context */
    consul_store *tls_store; /* for the process's TLS, in the default library context */
    OSSL_PROVIDER *crypto;   /* the provider of algorithms that it has brought, or NULL */
    atomic_bool crypto_sorted;
    bool crypto_unasked;             /* by `auto`: no setting names it */
    char *deciding[CONFIG_DECIDING]; /* values of these settings when it was added; borrowed */
    bool names_left;       /* its section has names that nothing has looked at; see instances.h */
    consul_error unusable; /* the fault of its configuration, or a reason of 0 */
} prov_instance;

/* Return true if an instance serves URIs. After prov_instances_check (instances.h). */
static inline bool prov_instance_is_usable(const prov_instance *prov)
{
    return prov->store != NULL && prov->unusable.reason == 0;
}

#endif
