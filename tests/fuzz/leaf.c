/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's answer with a leaf. The key of an accepted leaf belongs to it, and its SPIFFE ID is its own. */
#include "fuzz.h"

#include "agent/decode.h"
#include "identity/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    consul_error err = {0};
    consul_leaf *leaf = consul_leaf_decode((const char *)data, size, NULL, &err);
    consul_spiffe_id id;
    bool stale = true;

    fuzz_require_result(leaf != NULL, &err);
    if (leaf == NULL)
        return 0;
    REQUIRE(X509_check_private_key(consul_leaf_cert(leaf), consul_leaf_key(leaf)) == 1);
    REQUIRE(consul_spiffe_id_of_cert(consul_leaf_cert(leaf), &id, NULL));
    REQUIRE(memcmp(&id, consul_leaf_id(leaf), sizeof(id)) == 0);
    REQUIRE(sk_X509_num(consul_leaf_chain(leaf)) < CONSUL_CERTS_MAX);
    REQUIRE(!consul_certs_contain(consul_leaf_chain(leaf), consul_leaf_cert(leaf)));
    REQUIRE(!consul_leaf_check(leaf, NULL, "another", &id.scope, true, &stale, &err));
    fuzz_require_printable(err.text);
    consul_leaf_unref(leaf);
    ERR_clear_error();
    return 0;
}
