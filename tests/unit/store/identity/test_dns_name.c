/* SPDX-License-Identifier: Apache-2.0 */
/* Host names of Consul's DNS, services in tables, and the claims of a certificate to them. */
#include "unit.h"

#include <stdio.h>

#include <openssl/x509v3.h>

#include "identity/dns_name.h"
#include "identity/spiffe.h"
#include "mint.h"

static const struct {
    const char *host, *domain;
    enum consul_host_kind kind;
    const char *name, *ns, *partition, *dc;
} hosts[] = {
    {"web.service.consul", "consul", CONSUL_HOST_SERVICE, "web", "", "", ""},
    {"web.connect.consul", "consul", CONSUL_HOST_SERVICE, "web", "", "", ""},
    {"web.virtual.consul", "consul", CONSUL_HOST_SERVICE, "web", "", "", ""},
    {"web.service.consul.", "consul", CONSUL_HOST_SERVICE, "web", "", "", ""},
    {"Web.SERVICE.Consul", "consul", CONSUL_HOST_SERVICE, "Web", "", "", ""},
    {"V1.webAPI.Service.Consul.", "consul", CONSUL_HOST_SERVICE, "webAPI", "", "", ""},
    {"_Web._TCP.service.consul", "consul", CONSUL_HOST_SERVICE, "Web", "", "", ""},
    {"web.service.DC2.consul", "consul", CONSUL_HOST_SERVICE, "web", "", "", "dc2"},
    {"v1.web.service.consul", "consul", CONSUL_HOST_SERVICE, "web", "", "", ""},
    {"a.b.web.service.consul", "consul", CONSUL_HOST_SERVICE, "web", "", "", ""},
    {"_web._tcp.service.consul", "consul", CONSUL_HOST_SERVICE, "web", "", "", ""},
    {"web.service.dc2.consul", "consul", CONSUL_HOST_SERVICE, "web", "", "", "dc2"},
    {"web.service.team.ns.part.ap.dc2.dc.consul", "consul", CONSUL_HOST_SERVICE, "web", "team",
     "part", "dc2"},
    {"web.service.dc2.dc.consul", "consul", CONSUL_HOST_SERVICE, "web", "", "", "dc2"},
    {"web.service.mesh.example", "mesh.example", CONSUL_HOST_SERVICE, "web", "", "", ""},
    {"Web.service.Mesh.Example", "mesh.example", CONSUL_HOST_SERVICE, "Web", "", "", ""},
    /* Lists: the longest domain is the one. */
    {"web.service.consul", "consul,alt.example", CONSUL_HOST_SERVICE, "web", "", "", ""},
    {"web.service.alt.example", "consul,alt.example", CONSUL_HOST_SERVICE, "web", "", "", ""},
    {"web.service.alt.example", "alt.example,consul", CONSUL_HOST_SERVICE, "web", "", "", ""},
    {"web.service.dc2.consul", "consul,dc2.consul", CONSUL_HOST_SERVICE, "web", "", "", ""},
    {"web.service.dc2.consul", "dc2.consul,consul", CONSUL_HOST_SERVICE, "web", "", "", ""},
    {"web.service.example", "consul,alt.example", CONSUL_HOST_OTHER, "", "", "", ""},
    /* Consul Enterprise: a namespace and a datacenter without words. */
    {"web.service.team.dc2.consul", "consul", CONSUL_HOST_SERVICE, "web", "team", "", "dc2"},
    {"web.connect.team.dc2.consul", "consul", CONSUL_HOST_SERVICE, "web", "team", "", "dc2"},
    {"web.service.a.b.c.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    {"web.service..b.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    /* Another mesh, or perhaps: peers and sameness groups. */
    {"web.virtual.east.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    {"web.virtual.team.east.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    {"web.service.east.peer.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    {"web.virtual.east.peer.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    {"web.service.team.ns.east.peer.part.ap.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "",
     ""},
    {"web.service.group.sg.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    {"web.service.http.port.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    {"web.virtual.team.ns.consul", "consul", CONSUL_HOST_SERVICE, "web", "team", "", ""},
    {"http.web.virtual.consul", "consul", CONSUL_HOST_SERVICE, "web", "", "", ""},
    /* The last word is the kind. */
    {"service.node.consul", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {"web.service.node.dc2.consul", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {"web.service.query.consul", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {"web.ingress.consul", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {"0a000001.addr.dc1.consul", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {"node.service.consul", "consul", CONSUL_HOST_SERVICE, "node", "", "", ""},
    {"service.service.consul", "consul", CONSUL_HOST_SERVICE, "service", "", "", ""},
    {"service.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    {".service.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    /* An underscore begins a label of RFC 2782, which is no service by itself. */
    {"_web.service.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    {"web._tcp.service.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    {"v1._web._tcp.service.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    {"_._tcp.service.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    {"__web._tcp.service.consul", "consul", CONSUL_HOST_MALFORMED, "", "", "", ""},
    {"web.service.a.ns.b.ns.consul", "consul", CONSUL_HOST_MALFORMED, NULL, NULL, NULL, NULL},
    {"web.service.a.ns.b.consul", "consul", CONSUL_HOST_MALFORMED, NULL, NULL, NULL, NULL},
    {"web.service.mesh.example", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {"web.service.consul.example", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {"web.service.xconsul", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {"node.node.consul", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {"nearest.query.consul", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {"consul", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {".consul", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {"", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {".", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {"192.0.2.1", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
    {"www.example", "consul", CONSUL_HOST_OTHER, "", "", "", ""},
};

static void test_hosts(void **state)
{
    size_t i;

    for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        consul_service service;
        enum consul_host_kind kind = consul_host_parse(hosts[i].host, hosts[i].domain, &service);

        if (kind != hosts[i].kind)
            fail_msg("%s: got kind %d", hosts[i].host, (int)kind);
        if (kind != CONSUL_HOST_SERVICE) {
            assert_string_equal(service.name, ""); /* no service, and no part of one */
            assert_string_equal(service.scope.ns, "");
            assert_string_equal(service.scope.partition, "");
            assert_string_equal(service.scope.dc, "");
            continue;
        }
        assert_string_equal(service.name, hosts[i].name);
        assert_string_equal(service.scope.ns, hosts[i].ns);
        assert_string_equal(service.scope.partition, hosts[i].partition);
        assert_string_equal(service.scope.dc, hosts[i].dc);
    }
}

static void test_valid_hosts(void **state)
{
    static const char *const good[] = {"db",      "db.internal", "a-b.c_d",   "1.example",
                                       "xn--a.b", "_srv._tcp.a", "127.0.0.1a"},
                             *const bad[] = {"",      ".",          "a.",  ".a",        "a..b",
                                             "A",     "a b",        "a:1", "a/b",       "*.a",
                                             "*",     "\xc3\xa9.a", "a.1", "127.0.0.1", "::1",
                                             "[::1]", "a@b"};
    char longest[300];
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(consul_host_is_valid(good[i]));
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(consul_host_is_valid(bad[i]));
    for (i = 0; i < 253; i++)
        longest[i] = i % 64 == 63 ? '.' : 'a';
    longest[253] = '\0';
    assert_true(consul_host_is_valid(longest));
    strcpy(longest + 253, "a");
    assert_false(consul_host_is_valid(longest));
    longest[100] = '\0';
    longest[63] = 'a'; /* a label of 64 bytes and more */
    assert_false(consul_host_is_valid(longest));
}

/* A long host name is no service. A name with many labels is still not taken for an ordinary one. */
static void test_long_hosts(void **state)
{
    char host[512];
    consul_service service;
    size_t i;

    memset(host, 'a', sizeof(host));
    strcpy(host + sizeof(host) - 16, ".service.consul");
    assert_int_not_equal(consul_host_parse(host, "consul", &service), CONSUL_HOST_SERVICE);
    for (i = 0; i < 200; i += 2)
        memcpy(host + i, "a.", 2);
    strcpy(host + 200, "web.service.consul");
    assert_int_not_equal(consul_host_parse(host, "consul", &service), CONSUL_HOST_OTHER);
}

static void test_services(void **state)
{
    static const char *const refused[] = {
        "", "?dc=a", "web?", "web?dc", "web?x=y", "web?dc=", "web?dc=a&dc=b", "..", "we%zb",
    };
    consul_service service;
    consul_error err = {0};
    size_t i;

    assert_int_equal(consul_service_parse("web", &service, &err), 1);
    assert_string_equal(service.name, "web");
    assert_int_equal(consul_service_parse("a%2Fb?dc=d&ns=n&partition=p", &service, &err), 1);
    assert_string_equal(service.name, "a/b");
    assert_string_equal(service.scope.dc, "d");
    assert_string_equal(service.scope.ns, "n");
    assert_string_equal(service.scope.partition, "p");
    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        char shown[64];

        err = (consul_error){0};
        if (consul_service_parse(refused[i], &service, &err))
            fail_msg("\"%s\" was accepted", refused[i]);
        snprintf(shown, sizeof(shown), "\"%s\" is not <service>", refused[i]);
        assert_error(&err, CONSUL_R_SETTING_INVALID, shown);
        assert_string_equal(service.name, ""); /* no service */
    }
}

/* Append a byte to a text, so many times, in its longest form. */
static void append(char *text, const char *before, size_t count)
{
    strcat(text, before);
    for (; count > 0; count--)
        strcat(text, "%61");
}

/* Each part of this one is good, and all of them are too long. */
static void test_a_long_service(void **state)
{
    char text[4 * CONSUL_URI_MAX] = "";
    consul_service service;
    consul_error err = {0};

    append(text, "", 255);
    append(text, "?ns=", 255);
    assert_int_equal(consul_service_parse(text, &service, NULL), 1);
    append(text, "&dc=", 255);
    assert_true(strlen(text) > CONSUL_URI_MAX);
    assert_int_equal(consul_service_parse(text, &service, &err), 0);
    assert_error(&err, CONSUL_R_SETTING_INVALID, "longer than");
    assert_string_equal(service.name, "");
}

static void test_id_is(void **state)
{
    static const struct {
        const char *service;
        consul_scope scope;
        bool is;
    } rows[] = {
        {"web", {"", "", ""}, true},         {"web", {"team", "part", "dc1"}, true},
        {"web", {"", "", "dc1"}, true},      {"db", {"", "", ""}, false},
        {"Web", {"", "", ""}, false},        {"", {"", "", ""}, false},
        {"web", {"default", "", ""}, false}, {"web", {"", "default", ""}, false},
        {"web", {"", "", "dc2"}, false},
    };
    static const char uri[] = "spiffe://td/ap/part/ns/team/dc/dc1/svc/web";
    consul_spiffe_id id;
    size_t i;

    assert_int_equal(consul_spiffe_id_parse(uri, strlen(uri), &id, NULL), 1);
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(consul_spiffe_id_is(&id, rows[i].service, &rows[i].scope), rows[i].is);
}

static void test_claims_of_a_trust_domain(void **state)
{
    static const struct {
        mint_name name;
        bool any, td; /* claims any trust domain; claims td.consul */
    } rows[] = {
        {{GEN_URI, "spiffe://td.consul/ns/a/dc/b/svc/c", 0}, true, true},
        {{GEN_URI, "SPIFFE://TD.Consul/x", 0}, true, true},
        {{GEN_URI, "spiffe://td.consul", 0}, true, true},
        {{GEN_URI, "spiffe://td.consul/gateway/mesh/dc/d", 0}, true, true},
        {{GEN_URI, "spiffe://td.consul.example/x", 0}, true, false},
        {{GEN_URI, "spiffe://td.consu/x", 0}, true, false},
        {{GEN_URI, "spiffe://other/x", 0}, true, false},
        {{GEN_URI, "spiffe:/td.consul/x", 0}, false, false},
        {{GEN_URI, "https://td.consul/x", 0}, false, false},
        {{GEN_DNS, "spiffe://td.consul/x", 0}, true, true}, /* a wrong claim is one */
        {{GEN_DNS, "td.consul", 0}, false, false},
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        minted one = mint(NULL, (mint_order){.names = {rows[i].name}});

        if (consul_cert_claims_trust_domain(one.cert, NULL) != rows[i].any
            || consul_cert_claims_trust_domain(one.cert, "td.consul") != rows[i].td)
            fail_msg("%s", rows[i].name.text);
        minted_free(&one);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_valid_hosts),
        cmocka_unit_test(test_long_hosts),
        cmocka_unit_test(test_services),
        cmocka_unit_test(test_a_long_service),
        cmocka_unit_test(test_id_is),
        cmocka_unit_test(test_claims_of_a_trust_domain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
