/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's verdict. A yes is a JSON true, as another reader of the same bytes finds it. */
#include "fuzz.h"

#include "agent/decode.h"

#include <jansson.h>

#define REASON_SIZE 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char reason[REASON_SIZE] = "";
    bool authorized = true;
    consul_error err = {0};
    json_t *json;
    int ok =
        consul_verdict_decode((const char *)data, size, &authorized, reason, sizeof(reason), &err);

    fuzz_require_result(ok, &err);
    REQUIRE(ok || !authorized);
    if (!ok)
        return 0;
    REQUIRE(memchr(reason, '\0', sizeof(reason)) != NULL);
    json = json_loadb((const char *)data, size, JSON_DECODE_INT_AS_REAL, NULL);
    REQUIRE(json_is_object(json) && json_is_boolean(json_object_get(json, "Authorized")));
    REQUIRE(authorized == json_is_true(json_object_get(json, "Authorized")));
    json_decref(json);
    return 0;
}
