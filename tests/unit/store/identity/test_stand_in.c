/* SPDX-License-Identifier: Apache-2.0 */
/* Stand-ins among certificates, and the service of each. */
#include "unit.h"

#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "identity/stand_in.h"
#include "mint.h"

#define LONG_NAME                                                                                      \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

#define URI(text)        \
    {                    \
        GEN_URI, text, 0 \
    }
#define DNS(text)        \
    {                    \
        GEN_DNS, text, 0 \
    }

static const struct {
    mint_name names[2], more[2];
    bool stands_in;
    const char *service; /* of a leaf; NULL where it stands for nothing */
    const char *dc;
} rows[] = {
    {{URI("consul:leaf/web")}, {{0}}, true, "web", ""},
    {{URI("consul://leaf/web")}, {{0}}, true, "web", ""},
    {{URI("CONSUL:leaf/web")}, {{0}}, true, "web", ""},
    {{URI("consul:leaf/web?dc=dc2")}, {{0}}, true, "web", "dc2"},
    {{URI("consul:leaf")}, {{0}}, true, "", ""},
    {{URI("consul:leaf/" LONG_NAME)}, {{0}}, true, LONG_NAME, ""},
    {{DNS("web.example"), URI("consul:leaf/web")}, {{0}}, true, "web", ""},
    {{DNS("web.example")}, {URI("consul:leaf/web")}, true, "web", ""},
    /* Claims that say nothing are claims. */
    {{URI("consul:roots")}, {{0}}, true, NULL, NULL},
    {{URI("consul:")}, {{0}}, true, NULL, NULL},
    {{URI("consul:leaf/")}, {{0}}, true, NULL, NULL},
    {{URI("consul:leef/web")}, {{0}}, true, NULL, NULL},
    {{URI("consul:leaf/web\1")}, {{0}}, true, NULL, NULL},
    {{URI("consul:leaf/web?dc=dc2&x=y")}, {{0}}, true, NULL, NULL},
    {{{GEN_URI, "consul:leaf/web\0.evil", 20}}, {{0}}, true, NULL, NULL},
    {{URI("consul:leaf/web"), URI("consul:leaf/api")}, {{0}}, true, NULL, NULL},
    {{URI("consul:leaf/web")}, {URI("consul:leaf/api")}, true, NULL, NULL},
    /* Certificates that only look like a stand-in. */
    {{DNS("consul:leaf/web")}, {{0}}, false, NULL, NULL},
    {{{GEN_EMAIL, "consul:leaf/web", 0}}, {{0}}, false, NULL, NULL},
    {{URI("urn:consul:leaf/web")}, {{0}}, false, NULL, NULL},
    {{URI("https://consul/leaf/web")}, {{0}}, false, NULL, NULL},
    {{URI("consul")}, {{0}}, false, NULL, NULL},
    {{URI("spiffe://x.consul/ns/default/dc/dc1/svc/web")}, {{0}}, false, NULL, NULL},
    {{{0}}, {{0}}, false, NULL, NULL},
};

static void test_certificates(void **state)
{
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        mint_order order = {.subject = "stand-in"};
        consul_uri uri;
        minted one;

        memcpy(order.names, rows[i].names, sizeof(rows[i].names));
        memcpy(order.more_names, rows[i].more, sizeof(rows[i].more));
        one = mint(NULL, order);
        if (consul_cert_stands_in(one.cert, &uri) != rows[i].stands_in)
            fail_msg("row %zu", i);
        if (rows[i].stands_in && (uri.kind == CONSUL_URI_LEAF) != (rows[i].service != NULL))
            fail_msg("row %zu: kind %d", i, (int)uri.kind);
        if (rows[i].stands_in && rows[i].service == NULL
            && (*uri.service != '\0' || *uri.scope.dc != '\0'))
            fail_msg("row %zu: it names a service, \"%s\"", i, uri.service);
        if (rows[i].service != NULL) {
            assert_string_equal(uri.service, rows[i].service);
            assert_string_equal(uri.scope.dc, rows[i].dc);
        }
        if (rows[i].stands_in && consul_cert_is_plain(one.cert))
            fail_msg("row %zu is plain", i);
        minted_free(&one);
    }
}

/* The length of a URI in DER takes one byte, two or three. */
static void test_lengths(void **state)
{
    char text[CONSUL_URI_MAX + 64] = "consul:leaf/web?dc=";
    size_t begin = strlen(text), len;

    for (len = begin + 1; len < sizeof(text); len++) {
        mint_order order = {.subject = "stand-in", .names = {{GEN_URI, text, 0}}};
        consul_uri uri;
        minted one;

        text[len - 1] = 'x';
        text[len] = '\0';
        if (len != 127 && len != 128 && len != 255 && len != 256 && len != CONSUL_URI_MAX
            && len != CONSUL_URI_MAX + 1 && len != sizeof(text) - 1)
            continue;
        one = mint(NULL, order);
        assert_true(consul_cert_stands_in(one.cert, &uri));
        assert_int_equal(uri.kind == CONSUL_URI_LEAF, len - begin <= CONSUL_NAME_MAX);
        minted_free(&one);
    }
}

/* Names that OpenSSL cannot decode may hide a URI. A URI that is longer than its extension is no URI. */
static void test_malformed_names(void **state)
{
    static const struct {
        const char *names;
        int len;
        bool stands_in;
    } malformed[] = {
        {"\x30\x05\xa6\x03\x16\x09x", 7, true}, /* in pieces, of which one is too long */
        {"\x30\x11\x86\x83\x00\x00\x0c"
         "consul:leaf/",
         19, true}, /* a length of three bytes */
        {"\x30\x11\x86\x10"
         "consul:leaf/web",
         19, false},
        {"\x30\x11\x86\x0f"
         "consul:leaf/web",
         19, true},
        {"\x30\x11\x86\x83\x00\x00\x0d"
         "consul-leaf/",
         19, true}, /* likewise, too long, and without a colon */
    };
    size_t i;

    for (i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        minted one = mint(NULL, (mint_order){.subject = "stand-in"});
        ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
        X509_EXTENSION *ext;
        consul_uri uri = {.kind = CONSUL_URI_LEAF};

        ASN1_OCTET_STRING_set(data, (const unsigned char *)malformed[i].names, malformed[i].len);
        ext = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, data);
        assert_true(X509_add_ext(one.cert, ext, -1));
        if (consul_cert_stands_in(one.cert, &uri) != malformed[i].stands_in)
            fail_msg("row %zu", i);
        assert_int_equal(uri.kind, i == 3 ? CONSUL_URI_LEAF : CONSUL_URI_ROOTS);
        assert_false(consul_cert_is_plain(one.cert));
        X509_EXTENSION_free(ext);
        ASN1_OCTET_STRING_free(data);
        minted_free(&one);
    }
}

/* A URI may be in either of two extensions. A DNS name with a SPIFFE ID is a claim, too. */
static void test_plain(void **state)
{
    static const struct {
        mint_name names[2], more[2];
        bool is_plain;
    } certs[] = {
        {{{0}}, {{0}}, true},
        {{DNS("web.example")}, {DNS("web.example.org")}, true},
        {{{GEN_EMAIL, "web@example.org", 0}}, {{0}}, true},
        {{URI("consul:leaf/web")}, {{0}}, false},
        {{DNS("web.example")}, {URI("consul:leaf/web")}, false},
        {{DNS("spiffe://x/svc/web")}, {{0}}, false},
        {{URI("no")}, {{0}}, false},
    };
    size_t i;

    for (i = 0; i < sizeof(certs) / sizeof(certs[0]); i++) {
        mint_order order = {.subject = "any"};
        minted one;

        memcpy(order.names, certs[i].names, sizeof(certs[i].names));
        memcpy(order.more_names, certs[i].more, sizeof(certs[i].more));
        one = mint(NULL, order);
        if (consul_cert_is_plain(one.cert) != certs[i].is_plain)
            fail_msg("certificate %zu", i);
        minted_free(&one);
    }
}

/* The private key of stand-ins is public. A certificate of that key is nothing else, whatever its names are. */
static void test_key(void **state)
{
    const unsigned char *der = consul_stand_in_key;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &der, CONSUL_STAND_IN_KEY_LEN);
    minted one = mint(NULL, (mint_order){.subject = "web", .key = key});
    minted other = mint(NULL, (mint_order){.subject = "web"});
    consul_uri uri = {.kind = CONSUL_URI_LEAF};

    assert_true(consul_cert_stands_in(one.cert, &uri));
    assert_int_equal(uri.kind, CONSUL_URI_ROOTS);
    assert_false(consul_cert_stands_in(other.cert, &uri));
    assert_false(consul_cert_is_plain(one.cert));
    assert_true(consul_cert_is_plain(other.cert));
    assert_true(consul_key_stands_in(key));
    assert_false(consul_key_stands_in(other.key));
    minted_free(&one);
    minted_free(&other);
    EVP_PKEY_free(key);
}

/* A public key has several forms (SEC 1, 2.3.3), and a certificate may have any. */
static void test_forms_of_the_key(void **state)
{
    static const char *const forms[] = {"uncompressed", "compressed", "hybrid"};
    size_t i;

    for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        const unsigned char *der = consul_stand_in_key;
        EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &der, CONSUL_STAND_IN_KEY_LEN);
        consul_uri uri = {.kind = CONSUL_URI_LEAF};
        minted one;

        assert_int_equal(EVP_PKEY_set_utf8_string_param(
                             key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, forms[i]),
                         1);
        one = mint(NULL, (mint_order){.subject = "web", .key = key});
        assert_int_equal(ASN1_STRING_length(X509_get0_pubkey_bitstr(one.cert)), i == 1 ? 33 : 65);
        assert_true(consul_cert_stands_in(one.cert, &uri));
        assert_false(consul_cert_is_plain(one.cert));
        assert_true(consul_key_stands_in(X509_get0_pubkey(one.cert)));
        minted_free(&one);
        EVP_PKEY_free(key);
    }
}

/* Check that the three forms of the key file are one: its bytes, its identifier, its PEM. */
static void test_key_file(void **state)
{
    const unsigned char *der = consul_stand_in_file;
    BIO *text = BIO_new_mem_buf(CONSUL_STAND_IN_BLOCK, -1);
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &der, CONSUL_STAND_IN_FILE_LEN);
    const ASN1_OBJECT *algorithm;
    char identifier[64], *name, *header;
    unsigned char *data;
    long len;

    assert_non_null(info);
    assert_int_equal(PKCS8_pkey_get0(&algorithm, NULL, NULL, NULL, info), 1);
    OBJ_obj2txt(identifier, sizeof(identifier), algorithm, 1);
    assert_string_equal(identifier, CONSUL_STAND_IN_OID);
    assert_int_equal(PEM_read_bio(text, &name, &header, &data, &len), 1);
    assert_string_equal(name, PEM_STRING_PKCS8INF);
    assert_int_equal(len, CONSUL_STAND_IN_FILE_LEN);
    assert_memory_equal(data, consul_stand_in_file, CONSUL_STAND_IN_FILE_LEN);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    PKCS8_PRIV_KEY_INFO_free(info);
    BIO_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_malformed_names),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_forms_of_the_key),
        cmocka_unit_test(test_key_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
