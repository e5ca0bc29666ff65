/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's answer with the intentions of a service. Unheeded ones are kept, and only these make a yes wrong. */
#include "fuzz.h"

#include "agent/decode.h"
#include "agent/intentions.h"

#include <stdbool.h>

#include <jansson.h>

/* Return true where an element of any list has a source peer or a condition, as another reader finds it. */
static bool has_unheeded(const uint8_t *data, size_t size)
{
    json_t *json = json_loadb((const char *)data, size, JSON_DECODE_INT_AS_REAL, NULL), *list;
    const char *name;
    bool found = false;
    size_t i;

    json_object_foreach(json, name, list) {
        for (i = 0; i < json_array_size(list); i++) {
            const json_t *row = json_array_get(list, i), *jwt = json_object_get(row, "JWT");
            const char *peer = json_string_value(json_object_get(row, "SourcePeer"));

            found |= (peer != NULL && *peer != '\0') || (jwt != NULL && !json_is_null(jwt));
        }
    }
    json_decref(json);
    return found;
}

/* Try an ID in place of the peer's. Return true where a yes to it stands. */
static bool stands_for(const consul_intentions *intentions, const char *uri)
{
    consul_spiffe_id target, peer;
    consul_error err = {0};
    int ok;

    REQUIRE(
        consul_spiffe_id_parse("spiffe://t.consul/ns/default/dc/dc1/svc/web", 43, &target, NULL));
    REQUIRE(consul_spiffe_id_parse(uri, strlen(uri), &peer, NULL));
    ok = consul_intentions_stand_for(intentions, &target, &peer, &err);
    fuzz_require_result(ok, &err);
    REQUIRE(ok || err.reason == CONSUL_R_PEER_DENIED);
    return ok == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    consul_intentions *intentions = NULL;
    consul_error err = {0};
    int ok = consul_intentions_decode((const char *)data, size, &intentions, &err);
    bool api, other;

    fuzz_require_result(ok, &err);
    REQUIRE(ok || intentions == NULL);
    if (!ok)
        return 0;
    REQUIRE((intentions != NULL) == has_unheeded(data, size));
    api = stands_for(intentions, "spiffe://t.consul/ns/default/dc/dc1/svc/api");
    other = stands_for(intentions, "spiffe://t.consul/ap/part/ns/team/dc/dc1/svc/api");
    REQUIRE(intentions != NULL || (api && other));
    consul_intentions_unref(intentions);
    return 0;
}
