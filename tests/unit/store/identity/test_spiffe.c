/* SPDX-License-Identifier: Apache-2.0 */
/* SPIFFE IDs of services, and the certificates that carry them. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "identity/cert.h"
#include "identity/spiffe.h"
#include "identity/stand_in.h"
#include "mint.h"

#define TD "11111111-2222-3333-4444-555555555555.consul"
#define WEB "spiffe://" TD "/ns/default/dc/dc1/svc/web"

static int parse(const char *text, consul_spiffe_id *id, consul_error *err)
{
    return consul_spiffe_id_parse(text, strlen(text), id, err);
}

static const struct {
    const char *uri, *trust_domain, *partition, *ns, *dc, *service;
} service_ids[] = {
    {WEB, TD, "default", "default", "dc1", "web"},
    {"spiffe://td/ap/P/ns/N/dc/D/svc/S", "td", "P", "N", "D", "S"},
    {"spiffe://td/ns/n/dc/d/svc/web.v2_a-B", "td", "default", "n", "d", "web.v2_a-B"},
    {"spiffe://td/ns/ns/dc/dc/svc/svc", "td", "default", "ns", "dc", "svc"},
    {"spiffe://td/ap/ns/ns/ap/dc/svc/svc/dc", "td", "ns", "ap", "svc", "dc"},
    {"spiffe://td/ns/.../dc/-/svc/_", "td", "default", "...", "-", "_"},
    /* scheme and trust domain have no case, names do */
    {"SPIFFE://Ab-C.Consul/ns/Default/dc/DC1/svc/Web", "ab-c.consul", "default", "Default", "DC1",
     "Web"},
};

static void test_service_ids(void **state)
{
    size_t i;

    for (i = 0; i < sizeof(service_ids) / sizeof(service_ids[0]); i++) {
        consul_spiffe_id id;
        consul_error err = {0};

        if (!parse(service_ids[i].uri, &id, &err))
            fail_msg("%s", err.text);
        assert_int_equal(err.reason, 0);
        assert_string_equal(id.uri, service_ids[i].uri); /* byte for byte */
        assert_string_equal(id.trust_domain, service_ids[i].trust_domain);
        assert_string_equal(id.scope.partition, service_ids[i].partition);
        assert_string_equal(id.scope.ns, service_ids[i].ns);
        assert_string_equal(id.scope.dc, service_ids[i].dc);
        assert_string_equal(id.service, service_ids[i].service);
    }
}

static const char *const no_service_ids[] = {
    "",
    "spiffe:",
    "spiffe://",
    "spiffe:///ns/default/dc/dc1/svc/web",
    "https://td/ns/default/dc/dc1/svc/web",
    "spiffe:/td/ns/default/dc/dc1/svc/web",
    " spiffe://td/ns/default/dc/dc1/svc/web",
    "spiffe://td/ns/default/dc/dc1/svc/web ",
    /* other kinds of Consul's */
    "spiffe://td",
    "spiffe://td/",
    "spiffe://td/agent/client/dc/dc1/id/8a3f",
    "spiffe://td/agent/server/dc/dc1",
    "spiffe://td/gateway/mesh/dc/dc1",
    "spiffe://td/ap/default/gateway/mesh/dc/dc1",
    /* parts missing, doubled or in another order */
    "spiffe://td/ns/default/dc/dc1",
    "spiffe://td/ns/default/dc/dc1/svc",
    "spiffe://td/ns/default/dc/dc1/svc/",
    "spiffe://td/dc/dc1/svc/web",
    "spiffe://td/ns/default/svc/web",
    "spiffe://td/svc/web",
    "spiffe://td/dc/dc1/ns/default/svc/web",
    "spiffe://td/ns/default/ap/p/dc/dc1/svc/web",
    "spiffe://td/ap/p/ap/p/ns/default/dc/dc1/svc/web",
    "spiffe://td/ns/default/dc/dc1/svc/web/",
    "spiffe://td/ns/default/dc/dc1/svc/web/x",
    "spiffe://td/ns/default/dc/dc1/svc/web/svc/db",
    "spiffe://td/x/ns/default/dc/dc1/svc/web",
    "spiffe://td//ns/default/dc/dc1/svc/web",
    "spiffe://td/ns//dc/dc1/svc/web",
    "spiffe://td/ns/default/dc//svc/web",
    "spiffe://td/ap//ns/default/dc/dc1/svc/web",
    "spiffe://td/NS/default/dc/dc1/svc/web",
    "spiffe://td/ns/default/dc/dc1/SVC/web",
    "spiffe://td/ns/default/dc/dc1/service/web",
    /* relative segments */
    "spiffe://td/ns/default/dc/dc1/svc/.",
    "spiffe://td/ns/default/dc/dc1/svc/..",
    "spiffe://td/ns/./dc/dc1/svc/web",
    "spiffe://td/ns/default/dc/../svc/web",
    "spiffe://td/ap/../ns/default/dc/dc1/svc/web",
    /* not allowed in a path by SPIFFE-ID */
    "spiffe://td/ns/default/dc/dc1/svc/w%65b",
    "spiffe://td/ns/default/dc/dc1/svc/a%2Fb",
    "spiffe://td/ns/default/dc/dc1/svc/web%00",
    "spiffe://td/ns/default/dc/dc1/svc/w+b",
    "spiffe://td/ns/default/dc/dc1/svc/w~b",
    "spiffe://td/ns/default/dc/dc1/svc/w b",
    "spiffe://td/ns/default/dc/dc1/svc/w\nb",
    "spiffe://td/ns/default/dc/dc1/svc/caf\xc3\xa9",
    "spiffe://td/ns/default/dc/dc1/svc/web?a=b",
    "spiffe://td/ns/default/dc/dc1/svc/web?",
    "spiffe://td/ns/default/dc/dc1/svc/web#a",
    "spiffe://td/ns/default/dc/dc1/svc/web#",
    "spiffe://td?/ns/default/dc/dc1/svc/web",
    "spiffe://td#/ns/default/dc/dc1/svc/web",
    /* nor in a trust domain */
    "spiffe://user@td/ns/default/dc/dc1/svc/web",
    "spiffe://user:pass@td/ns/default/dc/dc1/svc/web",
    "spiffe://td:8500/ns/default/dc/dc1/svc/web",
    "spiffe://td:/ns/default/dc/dc1/svc/web",
    "spiffe://[::1]/ns/default/dc/dc1/svc/web",
    "spiffe://t%64/ns/default/dc/dc1/svc/web",
    "spiffe://t d/ns/default/dc/dc1/svc/web",
    "spiffe://td\\x/ns/default/dc/dc1/svc/web",
};

static void test_no_service_ids(void **state)
{
    size_t i;

    for (i = 0; i < sizeof(no_service_ids) / sizeof(no_service_ids[0]); i++) {
        consul_spiffe_id id;
        consul_error err = {0};

        if (parse(no_service_ids[i], &id, &err))
            fail_msg("\"%s\" was accepted", no_service_ids[i]);
        assert_int_equal(err.reason, CONSUL_R_PEER_NOT_A_SERVICE);
        assert_contains(err.text, "\""); /* names the text */
    }
}

/* A NUL ends a C string, and not a name that a CA has signed. */
static void test_embedded_nul(void **state)
{
    static const char text[] = WEB "\0.evil";
    consul_spiffe_id id;
    consul_error err = {0};

    assert_int_equal(consul_spiffe_id_parse(text, sizeof(text) - 1, &id, &err), 0);
    assert_int_equal(err.reason, CONSUL_R_PEER_NOT_A_SERVICE);
    assert_int_equal(consul_spiffe_id_parse(text, sizeof(WEB), &id, NULL), 0);
    assert_int_equal(consul_spiffe_id_parse(text, sizeof(WEB) - 1, &id, NULL), 1);
}

/* The length rules, not a NUL: nothing behind `len` is read (the sanitizers watch). */
static void test_no_byte_beyond_the_length(void **state)
{
    size_t len = strlen(WEB), i;

    for (i = 0; i <= len; i++) {
        char *exact = malloc(i == 0 ? 1 : i);
        consul_spiffe_id id;

        assert_non_null(exact);
        memcpy(exact, WEB, i);
        /* "…/svc/w" and "…/svc/we" are services as well. */
        assert_int_equal(consul_spiffe_id_parse(exact, i, &id, NULL), i > len - 3);
        free(exact);
    }
}

static void check_length(const char *format, int len, int accepted)
{
    char many[CONSUL_URI_MAX], text[2 * CONSUL_URI_MAX];
    consul_spiffe_id id;
    int got;

    memset(many, 'a', sizeof(many));
    many[len] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof(text), format, many);
#pragma GCC diagnostic pop
    got = parse(text, &id, NULL);
    if (got != accepted)
        fail_msg("%s with %d bytes: got %d", format, len, got);
}

static void test_length_limits(void **state)
{
    static const char *const formats[] = {
        "spiffe://%s/ns/default/dc/dc1/svc/web", "spiffe://td/ap/%s/ns/default/dc/dc1/svc/web",
        "spiffe://td/ns/%s/dc/dc1/svc/web",      "spiffe://td/ns/default/dc/%s/svc/web",
        "spiffe://td/ns/default/dc/dc1/svc/%s",
    };
    char *text = malloc(CONSUL_URI_MAX + 1);
    consul_spiffe_id id;
    consul_error err = {0};
    size_t i;

    for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        check_length(formats[i], CONSUL_NAME_MAX, 1);
        check_length(formats[i], CONSUL_NAME_MAX + 1, 0);
    }
    assert_non_null(text);
    memset(text, 'a', CONSUL_URI_MAX + 1);
    memcpy(text, "spiffe://td/ns/", 15);
    assert_int_equal(consul_spiffe_id_parse(text, CONSUL_URI_MAX + 1, &id, &err), 0);
    assert_contains(err.text, "is not a SPIFFE ID");
    free(text);
}

/* ---- certificates ---- */

static const struct {
    const char *name;
    mint_order order;
    const char *error; /* NULL where it is a service's leaf */
    bool claims;       /* to be a Connect leaf */
} certificates[] = {
    {"plain", {.names = {{GEN_URI, WEB, 0}}}, NULL, true},
    {"with a subject", {.subject = "web", .names = {{GEN_URI, WEB, 0}}}, NULL, true},
    {"RSA", {.rsa = true, .names = {{GEN_URI, WEB, 0}}}, NULL, true},
    {"a DNS name beside", {.names = {{GEN_DNS, "web", 0}, {GEN_URI, WEB, 0}}}, NULL, true},
    {"a mail address beside", {.names = {{GEN_URI, WEB, 0}, {GEN_EMAIL, "a@b", 0}}}, NULL, true},
    {"no key usage", {.key_usage = "", .names = {{GEN_URI, WEB, 0}}}, "key usage", true},
    {"more key usage",
     {.key_usage = "digitalSignature,keyEncipherment", .names = {{GEN_URI, WEB, 0}}},
     NULL,
     true},
    {"expired", {.not_before = -2, .not_after = -1, .names = {{GEN_URI, WEB, 0}}}, NULL, true},
    {"no name", {.subject = "spiffe://td/ns/a/dc/b/svc/c"}, "0 URIs", false},
    {"a DNS name alone", {.names = {{GEN_DNS, "web.service.consul", 0}}}, "0 URIs", false},
    {"the ID as a DNS name", {.names = {{GEN_DNS, WEB, 0}}}, "0 URIs", true},
    {"another URI", {.names = {{GEN_URI, "https://td/svc/web", 0}}}, "not a SPIFFE ID", false},
    {"two URIs", {.names = {{GEN_URI, WEB, 0}, {GEN_URI, "https://web", 0}}}, "2 URIs", true},
    {"two URIs, the ID last",
     {.names = {{GEN_URI, "https://web", 0}, {GEN_URI, WEB, 0}}},
     "2 URIs",
     true},
    {"two IDs, the service's last",
     {.names = {{GEN_URI, "spiffe://td/x", 0}, {GEN_URI, WEB, 0}}},
     "2 URIs",
     true},
    {"the same URI twice", {.names = {{GEN_URI, WEB, 0}, {GEN_URI, WEB, 0}}}, "2 URIs", true},
    {"two extensions",
     {.names = {{GEN_URI, WEB, 0}}, .more_names = {{GEN_DNS, "web", 0}}},
     "",
     true},
    {"two extensions, the ID in the second",
     {.names = {{GEN_DNS, "web", 0}}, .more_names = {{GEN_URI, WEB, 0}}},
     "",
     true},
    {"a CA", {.ca = true, .names = {{GEN_URI, WEB, 0}}}, "CA certificate", true},
    {"a CA with a leaf's key usage",
     {.ca = true, .key_usage = "digitalSignature", .names = {{GEN_URI, WEB, 0}}},
     "CA certificate",
     true},
    {"may sign certificates",
     {.key_usage = "digitalSignature,keyCertSign", .names = {{GEN_URI, WEB, 0}}},
     "",
     true},
    {"may sign revocation lists",
     {.key_usage = "digitalSignature,cRLSign", .names = {{GEN_URI, WEB, 0}}},
     "key usage",
     true},
    {"may not sign",
     {.key_usage = "keyEncipherment", .names = {{GEN_URI, WEB, 0}}},
     "key usage",
     true},
    {"embedded NUL",
     {.names = {{GEN_URI, WEB "\0.evil", sizeof(WEB "\0.evil") - 1}}},
     "not a SPIFFE ID",
     true},
    {"NUL before the service",
     {.names = {{GEN_URI, "spiffe://td\0/svc/web", 20}}},
     "not a SPIFFE ID",
     true},
    {"a malformed ID", {.names = {{GEN_URI, "spiffe://td:1/svc/web", 0}}}, "", true},
    {"scheme in capitals", {.names = {{GEN_URI, "SPIFFE://td/ns/a/dc/b/svc/c", 0}}}, NULL, true},
    {"a gateway",
     {.names = {{GEN_URI, "spiffe://td/gateway/mesh/dc/dc1", 0}}},
     "not the SPIFFE ID of a service",
     false},
    {"an agent",
     {.names = {{GEN_URI, "spiffe://td/agent/client/dc/d/id/1", 0}}},
     "not the SPIFFE ID of a service",
     false},
    {"the trust domain",
     {.names = {{GEN_URI, "spiffe://td", 0}}},
     "not the SPIFFE ID of a service",
     false},
    {"a short URI", {.names = {{GEN_URI, "spiffe:/", 0}}}, "not a SPIFFE ID", false},
};

static void test_certificates(void **state)
{
    minted ca = mint_ca(TD);
    size_t i;

    for (i = 0; i < sizeof(certificates) / sizeof(certificates[0]); i++) {
        minted leaf = mint(&ca, certificates[i].order);
        consul_spiffe_id id;
        consul_error err = {0};
        int ok = consul_spiffe_id_of_cert(leaf.cert, &id, &err);

        if (ok != (certificates[i].error == NULL))
            fail_msg("%s: got %d, %s", certificates[i].name, ok, err.text);
        if (!ok)
            assert_error(&err, CONSUL_R_PEER_NOT_A_SERVICE, certificates[i].error);
        if (consul_cert_claims_connect(leaf.cert) != certificates[i].claims)
            fail_msg("%s: claims to be a Connect leaf: %d", certificates[i].name,
                     !certificates[i].claims);
        if (certificates[i].claims && consul_cert_is_plain(leaf.cert))
            fail_msg("%s: is plain", certificates[i].name);
        minted_free(&leaf);
    }
    minted_free(&ca);
}

/* A certificate that claims several trust domains claims ours, in whichever place. */
static void test_claims_of_several(void **state)
{
    minted last =
        mint(NULL, (mint_order){.names = {{GEN_URI, "spiffe://td/x", 0}, {GEN_URI, WEB, 0}}});
    minted other = mint(NULL, (mint_order){.names = {{GEN_URI, "spiffe://td/x", 0}},
                                           .more_names = {{GEN_URI, WEB, 0}}});

    assert_true(consul_cert_claims_trust_domain(last.cert, TD));
    assert_true(consul_cert_claims_trust_domain(other.cert, TD));
    assert_true(consul_cert_claims_trust_domain(other.cert, "td"));
    assert_false(consul_cert_claims_trust_domain(other.cert, "x"));
    minted_free(&last);
    minted_free(&other);
}

static void test_id_of_certificate(void **state)
{
    minted ca = mint_ca(TD), leaf = mint_leaf(&ca, TD, "web");
    consul_spiffe_id id;

    assert_int_equal(consul_spiffe_id_of_cert(leaf.cert, &id, NULL), 1);
    assert_string_equal(id.uri, WEB);
    assert_string_equal(id.service, "web");
    assert_string_equal(id.trust_domain, TD);
    minted_free(&leaf);
    minted_free(&ca);
}

/* A certificate that OpenSSL cannot use is no error on the caller's queue. */
static void test_the_queue_is_kept(void **state)
{
    minted ca = mint_unusable_ca(TD), other = mint_unusable_ca(TD);
    STACK_OF(X509) *certs = sk_X509_new_null();
    consul_spiffe_id id;

    ERR_clear_error();
    assert_true(sk_X509_push(certs, ca.cert));
    assert_false(consul_certs_are_usable(certs));
    assert_int_equal(ERR_peek_error(), 0);
    assert_false(consul_certs_contain(certs, other.cert));
    assert_int_equal(ERR_peek_error(), 0);
    assert_int_equal(consul_spiffe_id_of_cert(ca.cert, &id, NULL), 0);
    assert_int_equal(ERR_peek_error(), 0);
    sk_X509_free(certs);
    minted_free(&other);
    minted_free(&ca);
}

/* Nor are names that cannot be decoded. */
static void test_the_queue_is_kept_for_names(void **state)
{
    minted leaf = mint(NULL, (mint_order){.subject = "web"});
    ASN1_OCTET_STRING *text = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension;
    consul_spiffe_id id;

    assert_int_equal(ASN1_OCTET_STRING_set(text, (const unsigned char *)"no DER", 6), 1);
    extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, text);
    assert_int_equal(X509_add_ext(leaf.cert, extension, -1), 1);
    ERR_clear_error();
    assert_int_equal(consul_spiffe_id_of_cert(leaf.cert, &id, NULL), 0);
    assert_int_equal(ERR_peek_error(), 0);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(text);
    minted_free(&leaf);
}

/* OpenSSL reads more than DER: a text in pieces, and a length of more bytes than it needs. */
static void test_names_in_another_form(void **state)
{
    static const char web[] = "spiffe://td/ns/n/dc/d/svc/web"; /* 29 bytes */
    static const struct {
        const char *before;
        size_t len;
        bool is_der;
    } forms[] = {
        {"\x30\x1f\x86\x1d", 4, true},
        {"\x30\x20\x86\x81\x1d", 5, false},
        {"\x30\x81\x1f\x86\x1d", 5, false},
        {"\x30\x21\xa6\x1f\x16\x1d", 6, false},
    };
    size_t i;

    for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        minted leaf = mint(NULL, (mint_order){.subject = "web"});
        ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
        X509_EXTENSION *extension;
        unsigned char names[64];
        consul_error err = {0};
        consul_spiffe_id id;

        memcpy(names, forms[i].before, forms[i].len);
        memcpy(names + forms[i].len, web, sizeof(web) - 1);
        ASN1_OCTET_STRING_set(data, names, (int)(forms[i].len + sizeof(web) - 1));
        extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, data);
        assert_int_equal(X509_add_ext(leaf.cert, extension, -1), 1);
        assert_int_equal(consul_spiffe_id_of_cert(leaf.cert, &id, &err), forms[i].is_der);
        if (!forms[i].is_der)
            assert_error(&err, CONSUL_R_PEER_NOT_A_SERVICE, "is not DER");
        X509_EXTENSION_free(extension);
        ASN1_OCTET_STRING_free(data);
        minted_free(&leaf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_service_ids),
        cmocka_unit_test(test_no_service_ids),
        cmocka_unit_test(test_embedded_nul),
        cmocka_unit_test(test_no_byte_beyond_the_length),
        cmocka_unit_test(test_length_limits),
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_claims_of_several),
        cmocka_unit_test(test_id_of_certificate),
        cmocka_unit_test(test_the_queue_is_kept),
        cmocka_unit_test(test_the_queue_is_kept_for_names),
        cmocka_unit_test(test_names_in_another_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
