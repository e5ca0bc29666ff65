/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a leaf besides its SPIFFE ID. */
#include "unit.h"

#include <string.h>

#include <openssl/x509v3.h>

#include "mint.h"
#include "store.h"

#define TD "11111111-2222-3333-4444-555555555555.consul"
#define ID(ns, service) "spiffe://" TD "/ns/" ns "/dc/dc1/svc/" service
#define WEB ID("default", "web")
#define NAMES_MAX 3

/* Make one with such a subject ("CN=..."), and such alternative names, as in openssl.cnf. */
static minted make(const char *const subject[NAMES_MAX], const char *alternatives)
{
    minted one = mint(NULL, (mint_order){.subject = NULL});
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternatives);
    int i;

    assert_non_null(extension);
    assert_true(X509_add_ext(one.cert, extension, -1));
    X509_EXTENSION_free(extension);
    for (i = 0; i < NAMES_MAX && subject[i] != NULL; i++) {
        const char *value = strchr(subject[i], '=') + 1;
        char field[16] = "";

        memcpy(field, subject[i], (size_t)(value - 1 - subject[i]));
        mint_add_to_subject(one.cert, field, MBSTRING_UTF8, value, -1);
    }
    return one;
}

static enum consul_names names_of(const minted *one)
{
    consul_spiffe_id id;
    consul_error err = {0};

    if (!consul_spiffe_id_of_cert(one->cert, &id, &err))
        fail_msg("%s", err.text);
    return consul_cert_names(one->cert, &id);
}

#define LONG "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"
#define LONG_NS "n123456789012345678901234567890123456789"

static const struct {
    const char *subject[NAMES_MAX];
    const char *alternatives;
    enum consul_names names;
} cases[] = {
    {{NULL}, "URI:" WEB, CONSUL_NAMES_NONE},
    /* Leaves of Consul 1.8. */
    {{"CN=web.svc.default.11111111.consul"}, "URI:" WEB, CONSUL_NAMES_NONE},
    {{"CN=webv2a.svc.team.11111111.consul"}, "URI:" ID("team", "Web-v2_A"), CONSUL_NAMES_NONE},
    {{"CN=abcdefghijklmnopqrstuvwxyz0123456789.svc.default.11111111.consul"},
     "URI:" ID("default", LONG),
     CONSUL_NAMES_NONE},
    {{"CN=abcdefghijklmno.svc.n123456789012345678901234567.11111111.consul"},
     "URI:" ID(LONG_NS, LONG),
     CONSUL_NAMES_NONE},
    /* Leaves that Vault signs. */
    {{"CN=web.svc.default.11111111.consul"},
     "URI:" WEB ",DNS:web.svc.default.11111111.consul",
     CONSUL_NAMES_NONE},
    /* Another's, or cut without need. */
    {{NULL}, "URI:" WEB ",DNS:db.svc.default.11111111.consul", CONSUL_NAMES_HOSTS},
    {{"CN=we.svc.default.11111111.consul"}, "URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{"CN=webs.svc.default.11111111.consul"}, "URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{"CN=db.svc.default.11111111.consul"}, "URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{"CN=web.svc.team.11111111.consul"}, "URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{"CN=web.svc.default.22222222.consul"}, "URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{"CN=web.svc.default.11111111.consul.example.com"}, "URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{"CN=web.svc.default.11111111.example"}, "URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{"CN=*.svc.default.11111111.consul"}, "URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{"CN=web"}, "URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{"CN= "}, "URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{"CN=www.example.com"}, "URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{"O=web.svc.default.11111111.consul"}, "URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{"CN=web.svc.default.11111111.consul", "O=admins"}, "URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{"CN=web.svc.default.11111111.consul", "CN=www.example.com"},
     "URI:" WEB,
     CONSUL_NAMES_FOREIGN},
    /* Alternatives, wherever they stand. */
    {{NULL}, "URI:" WEB ",DNS:www.example.com", CONSUL_NAMES_HOSTS},
    {{NULL}, "DNS:*.example.com,URI:" WEB, CONSUL_NAMES_HOSTS},
    {{NULL}, "URI:" WEB ",IP:192.0.2.1", CONSUL_NAMES_HOSTS},
    {{NULL}, "IP:2001:db8::1,URI:" WEB, CONSUL_NAMES_HOSTS},
    {{"CN=web.svc.default.11111111.consul"}, "URI:" WEB ",DNS:web", CONSUL_NAMES_HOSTS},
    {{"CN=web"}, "URI:" WEB ",DNS:web", CONSUL_NAMES_FOREIGN},
    {{NULL}, "email:root@example.com,DNS:web,URI:" WEB, CONSUL_NAMES_FOREIGN},
    {{NULL}, "URI:" WEB ",RID:1.2.3.4", CONSUL_NAMES_FOREIGN},
    {{NULL}, "URI:" WEB ",otherName:1.3.6.1.5.5.7.8.7;IA5:_xmpp.example.com", CONSUL_NAMES_FOREIGN},
};

static void test_names(void **state)
{
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        minted one = make(cases[i].subject, cases[i].alternatives);

        if (names_of(&one) != cases[i].names)
            fail_msg("%s, %s: %d", cases[i].subject[0], cases[i].alternatives, names_of(&one));
        minted_free(&one);
    }
}

/* A common name with a NUL in it: read as text, it would be a name of Consul's. */
static void test_a_name_with_a_nul(void **state)
{
    static const unsigned char name[] = "web.svc.default.11111111.consul\0.example.com";
    minted one = make((const char *const[NAMES_MAX]){NULL}, "URI:" WEB);

    mint_add_to_subject(one.cert, "CN", MBSTRING_ASC, name, (int)sizeof(name) - 1);
    assert_int_equal(names_of(&one), CONSUL_NAMES_FOREIGN);
    minted_free(&one);
}

/* The same letters, two bytes each: OpenSSL compares it with host names as UTF-8. */
static void test_a_name_in_another_encoding(void **state)
{
    minted one = make((const char *const[NAMES_MAX]){NULL}, "URI:" WEB);
    static const unsigned char name[] = "\0d\0b";

    mint_add_to_subject(one.cert, "CN", V_ASN1_BMPSTRING, name, (int)sizeof(name) - 1);
    assert_int_equal(names_of(&one), CONSUL_NAMES_FOREIGN);
    minted_free(&one);
}

/* Names that cannot be read, for lack of memory say, may be any. */
static void test_unknown_names(void **state)
{
    minted one = mint(NULL, (mint_order){.subject = NULL});
    consul_spiffe_id id;

    assert_int_equal(consul_spiffe_id_parse(WEB, strlen(WEB), &id, NULL), 1);
    assert_int_equal(consul_cert_names(one.cert, &id), CONSUL_NAMES_FOREIGN);
    minted_free(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_a_name_with_a_nul),
        cmocka_unit_test(test_a_name_in_another_encoding),
        cmocka_unit_test(test_unknown_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
