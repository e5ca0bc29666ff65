/* What the files of store/ share among themselves; not for the provider. */
#ifndef CONSUL_STORE_INTERNAL_H
#define CONSUL_STORE_INTERNAL_H

#include "store.h"

#include <stdatomic.h>

/* ---- uri.c ---- */

/* Check a Consul name from outside: 1 to CONSUL_NAME_MAX bytes, no control characters. */
int consul_name_check(const char *what, const char *name, int reason, consul_error *err);

/* ---- spiffe.c ---- */

/* The first place of `word`, in any case, in bytes that need not be text; NULL if there is none. */
const unsigned char *consul_find_word(const unsigned char *data, size_t len, const char *word);

/* ---- address.c ---- */

typedef struct consul_address {
    bool https;
    char *base;        /* scheme://host:port/prefix, no slash at the end */
    char *socket_path; /* of a unix:// address, else NULL */
    char *connect_to;  /* where tls_server_name stands in the URL instead, else NULL */
} consul_address;

/* Parse the settings' address, with its tls and tls_server_name. Clear it also after an error. */
int consul_address_parse(const consul_settings *settings, consul_address *address,
                         consul_error *err);
void consul_address_clear(consul_address *address);

/* ---- agent.c: HTTP with the local agent (libcurl) ---- */

#define CONSUL_ANSWER_MAX ((size_t)4 << 20) /* bytes of one answer; a large CA bundle is 50 kB */

typedef struct consul_agent consul_agent;

/* Borrows the settings, which must outlive the agent. Checks the address; makes no request. */
consul_agent *consul_agent_new(const consul_settings *settings, consul_error *err);
void consul_agent_free(consul_agent *agent);

typedef struct consul_request {
    const char *path;          /* literal, beginning with /v1/ */
    const char *last_segment;  /* one more path segment, percent-encoded here; or NULL */
    const consul_scope *scope; /* sent as ?dc=&ns=&partition=; or NULL */
    const char *body;          /* JSON to POST; or NULL for a GET */
    consul_deadline deadline;
} consul_request;

/* The body of an answer with status 200, NUL-terminated. It may hold a private key. */
typedef struct consul_answer {
    char *body;
    size_t len;
    char source[CONSUL_URI_MAX]; /* "GET http://…", for messages about the content */
} consul_answer;

/* Make one request on a connection of its own. Free the answer with consul_answer_free. */
int consul_agent_request(const consul_agent *agent, const consul_request *request,
                         consul_answer *answer, consul_error *err);
void consul_answer_free(consul_answer *answer); /* cleanses */

/* ---- cert.c: PEM to X509 and EVP_PKEY ---- */

#define CONSUL_CERTS_MAX 64 /* certificates in one answer */

/* Append every certificate of a PEM text to `certs`, leaving out exact duplicates. */
int consul_certs_parse(const char *pem, OSSL_LIB_CTX *libctx, STACK_OF(X509) *certs,
                       consul_error *err);

/* The private key of an unencrypted PEM text (SEC1, PKCS#1 or PKCS#8); NULL on error. */
EVP_PKEY *consul_key_parse(const char *pem, OSSL_LIB_CTX *libctx, consul_error *err);

/* The serial number as Consul writes it: lower-case hexadecimal bytes joined by colons. */
char *consul_cert_serial(const X509 *cert, consul_error *err); /* free with OPENSSL_free */

/* ---- decode.c: JSON answers to snapshots ---- */

/* Each takes an untrusted body and returns a checked snapshot with one reference, or NULL. */
consul_roots *consul_roots_decode(const char *body, size_t len, OSSL_LIB_CTX *libctx,
                                  consul_error *err);
consul_leaf *consul_leaf_decode(const char *body, size_t len, OSSL_LIB_CTX *libctx,
                                consul_error *err);

/* Only a JSON `true` is a yes. `reason` is the agent's own text, for people. */
int consul_decision_decode(const char *body, size_t len, bool *authorized, char *reason,
                           size_t reason_size, consul_error *err);

/* ---- snapshot.c ---- */

struct consul_roots {
    atomic_int refs;
    OSSL_LIB_CTX *libctx; /* borrowed */
    char *trust_domain;
    STACK_OF(X509) *certs;
};

struct consul_leaf {
    atomic_int refs;
    EVP_PKEY *key;
    X509 *cert;
    STACK_OF(X509) *chain;
    consul_spiffe_id id;
};

consul_roots *consul_roots_new(OSSL_LIB_CTX *libctx, consul_error *err); /* empty */
consul_leaf *consul_leaf_new(consul_error *err);                         /* empty */

/*
 * Check a decoded leaf for the service asked for: identity, trust domain, validity, chain.
 * `*stale` tells whether newer roots could mend it.
 */
int consul_leaf_check(const consul_leaf *leaf, const consul_roots *roots, const char *service,
                      const consul_scope *scope, bool *stale, consul_error *err);

/* ---- decision.c ---- */

int consul_agent_authorize(const consul_agent *agent, const consul_settings *settings,
                           const consul_spiffe_id *target, const X509 *peer,
                           const consul_spiffe_id *peer_id, consul_deadline deadline,
                           consul_error *err);

#endif
