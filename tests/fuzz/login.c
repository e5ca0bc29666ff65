/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's answer to a login. The token is one word for a header line, and a life has a length. */
#include "fuzz.h"

#include "agent/decode.h"

#include <jansson.h>

#define TOKEN_SIZE 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char token[TOKEN_SIZE] = "";
    int64_t life = -1;
    consul_error err = {0};
    const char *c;
    json_t *json;
    int ok = consul_login_decode((const char *)data, size, token, sizeof(token), &life, &err);

    fuzz_require_result(ok, &err);
    if (!ok) {
        REQUIRE(*token == '\0');
        return 0;
    }
    REQUIRE(*token != '\0' && memchr(token, '\0', sizeof(token)) != NULL);
    for (c = token; *c != '\0'; c++)
        REQUIRE((unsigned char)*c > 0x20 && (unsigned char)*c < 0x7f);
    json = json_loadb((const char *)data, size, JSON_DECODE_INT_AS_REAL, NULL);
    REQUIRE(strcmp(json_string_value(json_object_get(json, "SecretID")), token) == 0);
    REQUIRE((life > 0) == (json_object_get(json, "ExpirationTime") != NULL));
    json_decref(json);
    return 0;
}
