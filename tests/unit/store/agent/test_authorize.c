/* SPDX-License-Identifier: Apache-2.0 */
/* The question whether a peer may connect, and the answers that count as a yes. */
#include "unit.h"

#include <jansson.h>

#include "agent/authorize.h"
#include "agent_fixture.h"
#include "identity/cert.h"
#include "mint.h"

static void test_serials(void **state)
{
    static const struct {
        unsigned char bytes[21];
        int len;
        bool negative;
        const char *text;
    } rows[] = {
        {{8}, 1, false, "08"},
        {{0}, 1, false, "00"},
        {{0x7f}, 1, false, "7f"},
        {{0x80}, 1, false, "80"}, /* without the zero byte of its DER */
        {{0xab, 0xcd, 0xef}, 3, false, "ab:cd:ef"},
        {{0x12, 0x34, 0x56, 0x78, 0x90, 0xab, 0xcd, 0xef}, 8, false, "12:34:56:78:90:ab:cd:ef"},
        {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20},
         20,
         false,
         "01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14"},
        {{0xfe}, 1, true, "fe"}, /* as Go prints the bytes of a big.Int: without a sign */
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        X509 *cert = X509_new();
        BIGNUM *number = BN_bin2bn(rows[i].bytes, rows[i].len, NULL);
        char *text;

        BN_set_negative(number, rows[i].negative);
        assert_non_null(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)));
        BN_free(number);
        text = consul_cert_serial(cert, NULL);
        assert_non_null(text);
        assert_string_equal(text, rows[i].text);
        OPENSSL_free(text);
        X509_free(cert);
    }
}

static enum consul_verdict authorize(agent_fixture *f, const char *target_uri, consul_error *err)
{
    minted ca = mint_ca("td.consul");
    minted peer = mint(&ca, (mint_order){.serial = 0xabcd});
    consul_agent *agent = agent_make(&f->settings);
    consul_spiffe_id target, id = {.uri = "spiffe://TD.consul/ns/default/dc/dc1/svc/db"};
    consul_request request = {.path = CONSUL_AUTHORIZE_PATH, .deadline = CONSUL_NO_DEADLINE};
    consul_answer answer;
    enum consul_verdict verdict;
    char *body;

    assert_true(consul_spiffe_id_parse(target_uri, strlen(target_uri), &target, NULL));
    body = consul_authorize_encode(&f->settings, &target, peer.cert, &id, err);
    assert_non_null(body);
    request.body = body;
    verdict = consul_authorize_ask(agent, &request, &target, &id, &answer, err);
    consul_answer_free(&answer);
    free(body);
    consul_agent_free(agent);
    minted_free(&peer);
    minted_free(&ca);
    return verdict;
}

#define WEB "spiffe://td/ns/default/dc/dc1/svc/web"

/* Only Consul Enterprise knows namespaces and partitions, and there "default" may have to be said. */
static const struct {
    const char *target;
    const char *configured_ns, *configured_partition;
    const char *ns, *partition; /* as sent; "" where it is not */
} questions[] = {
    {WEB, NULL, NULL, "", ""},
    {"spiffe://td/ns/team/dc/dc1/svc/web", NULL, NULL, "team", ""},
    {"spiffe://td/ap/part/ns/default/dc/dc1/svc/web", NULL, NULL, "", "part"},
    {"spiffe://td/ap/part/ns/team/dc/dc1/svc/web", NULL, NULL, "team", "part"},
    {"spiffe://td/ap/default/ns/default/dc/dc1/svc/web", NULL, NULL, "", "default"},
    {WEB, "default", NULL, "default", ""},
    {WEB, "other", NULL, "default", ""}, /* the target's own, and not the configured one */
    {WEB, NULL, "default", "", "default"},
    {WEB, "default", "default", "default", "default"},
};

static void test_question(void **state)
{
    agent_fixture *f = *state;
    size_t i;

    f->reply.body = "{\"Authorized\": true, \"Reason\": \"yes\"}";
    for (i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        const char *target, *uri, *serial, *ns = "", *partition = "";
        json_t *json;

        f->settings.ns = (char *)(uintptr_t)questions[i].configured_ns;
        f->settings.partition = (char *)(uintptr_t)questions[i].configured_partition;
        assert_int_equal(authorize(f, questions[i].target, NULL), CONSUL_VERDICT_YES);
        assert_string_equal(f->seen.method, "POST");
        assert_string_equal(f->seen.target, "/v1/agent/connect/authorize");
        json = json_loads(f->seen.body, JSON_REJECT_DUPLICATES, NULL);
        /* exactly these fields */
        assert_int_equal(json_unpack(json, "{s:s, s:s, s:s, s?s, s?s !}", "Target", &target,
                                     "ClientCertURI", &uri, "ClientCertSerial", &serial,
                                     "Namespace", &ns, "Partition", &partition),
                         0);
        assert_string_equal(target, "web");
        assert_string_equal(uri, "spiffe://TD.consul/ns/default/dc/dc1/svc/db");
        assert_string_equal(serial, "ab:cd");
        if (strcmp(ns, questions[i].ns) != 0 || strcmp(partition, questions[i].partition) != 0)
            fail_msg("row %zu: %s", i, f->seen.body);
        json_decref(json);
    }
}

/* An answer that is no verdict ends an earlier yes. A loss or a shortage does not. */
static void test_decisions(void **state)
{
    static const struct {
        http_reply reply;
        enum consul_verdict verdict;
        int reason; /* 0 for a yes */
        const char *text;
    } rows[] = {
        {{.status = 200, .body = "{\"Authorized\": true}"}, CONSUL_VERDICT_YES, 0, ""},
        {{.status = 200, .body = "{\"Authorized\": false, \"Reason\": \"Matched DENY\"}"},
         CONSUL_VERDICT_NO,
         CONSUL_R_PEER_DENIED,
         "/svc/db\" may not connect to \"web\": Matched DENY"},
        {{.status = 200, .body = "{\"Authorized\": \"true\"}"},
         CONSUL_VERDICT_NONE,
         CONSUL_R_AGENT_ANSWER_INVALID,
         "POST http://127.0.0.1:"},
        {{.status = 200, .body = "{}"},
         CONSUL_VERDICT_NONE,
         CONSUL_R_AGENT_ANSWER_INVALID,
         "Authorized is missing"},
        {{.status = 200, .body = "true"},
         CONSUL_VERDICT_NONE,
         CONSUL_R_AGENT_ANSWER_INVALID,
         "not JSON"},
        {{.status = 200},
         CONSUL_VERDICT_NONE,
         CONSUL_R_AGENT_ANSWER_INVALID,
         "the answer is empty"},
        {{.status = 403, .body = "{\"Authorized\": true}"},
         CONSUL_VERDICT_NONE,
         CONSUL_R_AGENT_REFUSED,
         "403"},
        {{.status = 429, .body = "{\"Authorized\": true}"},
         CONSUL_VERDICT_UNASKED,
         CONSUL_R_AGENT_REFUSED,
         "429"},
        {{.status = 500, .body = "{\"Authorized\": true}"},
         CONSUL_VERDICT_LOST,
         CONSUL_R_AGENT_REFUSED,
         "500"},
        {{.status = 500, .body = "rate limit reached"},
         CONSUL_VERDICT_UNASKED,
         CONSUL_R_AGENT_REFUSED,
         "500"},
        {{.manner = HTTP_CUT, .status = 200, .body = "{\"Authorized\": true}          "},
         CONSUL_VERDICT_UNASKED,
         CONSUL_R_AGENT_UNREACHABLE,
         "/authorize"},
        {{.manner = HTTP_CLOSE}, CONSUL_VERDICT_UNASKED, CONSUL_R_AGENT_UNREACHABLE, "/authorize"},
    };
    agent_fixture *f = *state;
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        consul_error err = {0};

        f->reply = rows[i].reply;
        assert_int_equal(authorize(f, WEB, &err), rows[i].verdict);
        assert_error(&err, rows[i].reason, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serials),
        cmocka_unit_test_setup_teardown(test_question, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_decisions, agent_set_up, agent_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
