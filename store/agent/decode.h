/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's JSON answers, decoded to snapshots and verdicts. Each function takes an untrusted
 * body. Pure functions, for any thread.
 * https://developer.hashicorp.com/consul/api-docs/agent/connect
 */
#ifndef CONSUL_AGENT_DECODE_H
#define CONSUL_AGENT_DECODE_H

#include "identity/leaf.h"
#include "identity/roots.h"

/*
 * Decode a snapshot, and return it with one reference. Return NULL with an error for an invalid
 * body.
 */
consul_roots *consul_roots_decode(const char *body, size_t len, OSSL_LIB_CTX *libctx,
                                  consul_error *err);
consul_leaf *consul_leaf_decode(const char *body, size_t len, OSSL_LIB_CTX *libctx,
                                consul_error *err);

/*
 * Decode a verdict. Only a JSON `true` is a yes. `reason` is the agent's own text. Return 0 with an
 * error for an invalid body.
 */
int consul_verdict_decode(const char *body, size_t len, bool *authorized, char *reason,
                          size_t reason_size, consul_error *err);

/*
 * Decode the answer to a login. `token` has place for `size` bytes. `*life` becomes the life of the token in
 * milliseconds, by the clock of Consul. A token without an end has 0. Return 0 with an error for an invalid body.
 */
int consul_login_decode(const char *body, size_t len, char *token, size_t size, int64_t *life,
                        consul_error *err);

/*
 * Return the JSON object of a body, for json_decref. Return NULL with an error for any other body.
 */
struct json_t *consul_json_load_object(const char *body, size_t len, consul_error *err);

#endif
