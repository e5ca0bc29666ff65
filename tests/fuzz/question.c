/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question to the agent: the target's SPIFFE ID, a newline, the peer's, a newline, a serial number. The JSON has
 * these values and no other ones.
 */
#include "fuzz.h"

#include "agent/authorize.h"
#include "identity/cert.h"

#include <jansson.h>
#include <openssl/x509.h>

static int take_id(fuzz_input *input, consul_spiffe_id *id)
{
    char *text = fuzz_text(input, '\n');
    int ok = consul_spiffe_id_parse(text, strlen(text), id, NULL);

    free(text);
    return ok;
}

static const char *member(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));

    return text == NULL ? "" : text;
}

static void require_question(const char *body, const consul_spiffe_id *target, const X509 *peer,
                             const consul_spiffe_id *peer_id)
{
    json_t *json = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
    char *serial = consul_cert_serial(peer, NULL);

    REQUIRE(json_is_object(json) && json_object_size(json) <= 5);
    REQUIRE(strcmp(member(json, "Target"), target->service) == 0);
    REQUIRE(strcmp(member(json, "ClientCertURI"), peer_id->uri) == 0);
    REQUIRE(strcmp(member(json, "ClientCertSerial"), serial) == 0);
    REQUIRE(strcmp(target->scope.ns, "default") == 0
            || strcmp(member(json, "Namespace"), target->scope.ns) == 0);
    REQUIRE(strcmp(target->scope.partition, "default") == 0
            || strcmp(member(json, "Partition"), target->scope.partition) == 0);
    OPENSSL_free(serial);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    consul_settings settings = {0};
    consul_spiffe_id target, peer_id;
    consul_error err = {0};
    X509 *peer;
    char *body;

    if (!take_id(&input, &target) || !take_id(&input, &peer_id))
        return 0;
    peer = X509_new();
    REQUIRE(peer != NULL
            && ASN1_STRING_set(X509_get_serialNumber(peer), input.data, (int)input.len));
    body = consul_authorize_encode(&settings, &target, peer, &peer_id, &err);
    fuzz_require_result(body != NULL, &err);
    require_question(body, &target, peer, &peer_id);
    free(body);
    X509_free(peer);
    return 0;
}
