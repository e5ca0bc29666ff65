/* SPDX-License-Identifier: Apache-2.0 */
/* consul: URIs (RFC 3986), and services in their notation. Pure functions, for any thread. */
#ifndef CONSUL_IDENTITY_URI_H
#define CONSUL_IDENTITY_URI_H

#include "base/error.h"
#include "base/name.h"

#define CONSUL_URI_MAX 2048 /* bytes of a consul: URI, and of a SPIFFE ID (SPIFFE-ID 2.3) */

enum consul_uri_kind { CONSUL_URI_LEAF, CONSUL_URI_ROOTS };

typedef struct consul_uri {
    enum consul_uri_kind kind;
    char service[CONSUL_NAME_MAX + 1]; /* for LEAF only, empty for the configured service */
    consul_scope scope;
} consul_uri;

/*
 * Parse consul:leaf/<service>, consul:leaf and consul:roots, also with consul://. Return 0 with an
 * error for another text.
 */
int consul_uri_parse(const char *text, consul_uri *uri, consul_error *err);

/* A service that a peer has to be. Empty fields of the scope are not compared. */
typedef struct consul_service {
    char name[CONSUL_NAME_MAX + 1];
    bool is_label; /* the name is of a host name, so that its lower case is meant, too */
    consul_scope scope;
} consul_service;

/* Parse "<service>[?ns=&partition=&dc=]". Return 0 with an error for another text. */
int consul_service_parse(const char *text, consul_service *service, consul_error *err);

#endif
