/* JSON answers to snapshots and decisions. Each takes an untrusted body. Any thread. */
#ifndef CONSUL_AGENT_DECODE_H
#define CONSUL_AGENT_DECODE_H

#include "identity/leaf.h"
#include "identity/roots.h"

/* Each takes an untrusted body and returns a checked snapshot with one reference, or NULL. */
consul_roots *consul_roots_decode(const char *body, size_t len, OSSL_LIB_CTX *libctx,
                                  consul_error *err);
consul_leaf *consul_leaf_decode(const char *body, size_t len, OSSL_LIB_CTX *libctx,
                                consul_error *err);

/* Only a JSON `true` is a yes. `reason` is the agent's own text, for people. */
int consul_verdict_decode(const char *body, size_t len, bool *authorized, char *reason,
                          size_t reason_size, consul_error *err);

/* The object that a body is, to be decref'ed; NULL for anything else. For what is decoded elsewhere. */
struct json_t *consul_json_load_object(const char *body, size_t len, consul_error *err);

#endif
