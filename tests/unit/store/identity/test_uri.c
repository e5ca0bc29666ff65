/* SPDX-License-Identifier: Apache-2.0 */
/* consul: URIs, as applications write them. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "identity/uri.h"

typedef struct accepted {
    const char *text;
    enum consul_uri_kind kind;
    const char *service, *ns, *partition, *dc;
} accepted;

static const accepted accepted_uris[] = {
    {"consul:leaf/web", CONSUL_URI_LEAF, "web", "", "", ""},
    {"consul://leaf/web", CONSUL_URI_LEAF, "web", "", "", ""},
    {"consul:leaf", CONSUL_URI_LEAF, "", "", "", ""},
    {"consul://leaf", CONSUL_URI_LEAF, "", "", "", ""},
    {"consul:roots", CONSUL_URI_ROOTS, "", "", "", ""},
    {"consul://roots", CONSUL_URI_ROOTS, "", "", "", ""},
    /* the scheme alone has no case */
    {"CONSUL:leaf/web", CONSUL_URI_LEAF, "web", "", "", ""},
    {"Consul://leaf/Web", CONSUL_URI_LEAF, "Web", "", "", ""},
    /* parameters, in any order */
    {"consul:roots?dc=east", CONSUL_URI_ROOTS, "", "", "", "east"},
    {"consul:leaf?ns=team", CONSUL_URI_LEAF, "", "team", "", ""},
    {"consul:leaf/web?ns=n&partition=p&dc=d", CONSUL_URI_LEAF, "web", "n", "p", "d"},
    {"consul:leaf/web?ns=n&dc=d&partition=p", CONSUL_URI_LEAF, "web", "n", "p", "d"},
    {"consul:leaf/web?partition=p&ns=n&dc=d", CONSUL_URI_LEAF, "web", "n", "p", "d"},
    {"consul:leaf/web?partition=p&dc=d&ns=n", CONSUL_URI_LEAF, "web", "n", "p", "d"},
    {"consul:leaf/web?dc=d&ns=n&partition=p", CONSUL_URI_LEAF, "web", "n", "p", "d"},
    {"consul://leaf/web?dc=d&partition=p&ns=n", CONSUL_URI_LEAF, "web", "n", "p", "d"},
    /* percent-encoding stays within its segment */
    {"consul:leaf/a%2Fb", CONSUL_URI_LEAF, "a/b", "", "", ""},
    {"consul:leaf/a%2fb%3F%23%26", CONSUL_URI_LEAF, "a/b?#&", "", "", ""},
    {"consul:leaf/%77eb", CONSUL_URI_LEAF, "web", "", "", ""},
    {"consul:leaf/100%25", CONSUL_URI_LEAF, "100%", "", "", ""},
    {"consul:leaf/web?ns=a%26dc%3Db", CONSUL_URI_LEAF, "web", "a&dc=b", "", ""},
    {"consul:leaf/web?ns=a=b", CONSUL_URI_LEAF, "web", "a=b", "", ""},
    {"consul:leaf/a+b", CONSUL_URI_LEAF, "a+b", "", "", ""}, /* a plus is no space */
    {"consul:leaf/...", CONSUL_URI_LEAF, "...", "", "", ""},
    {"consul:leaf/leaf", CONSUL_URI_LEAF, "leaf", "", "", ""},
    {"consul:leaf/roots", CONSUL_URI_LEAF, "roots", "", "", ""},
};

static void test_accepted(void **state)
{
    size_t i;

    for (i = 0; i < sizeof(accepted_uris) / sizeof(accepted_uris[0]); i++) {
        const accepted *row = &accepted_uris[i];
        consul_error err = {0};
        consul_uri uri;

        if (!consul_uri_parse(row->text, &uri, &err))
            fail_msg("%s: %s", row->text, err.text);
        assert_int_equal(err.reason, 0);
        assert_int_equal(uri.kind, row->kind);
        assert_string_equal(uri.service, row->service);
        assert_string_equal(uri.scope.ns, row->ns);
        assert_string_equal(uri.scope.partition, row->partition);
        assert_string_equal(uri.scope.dc, row->dc);
    }
}

static const struct {
    const char *text, *why;
} refused_uris[] = {
    {"", "scheme is not consul"},
    {"leaf/web", "scheme is not consul"},
    {"consul", "scheme is not consul"},
    {"consulx:leaf/web", "scheme is not consul"},
    {"file:leaf/web", "scheme is not consul"},
    {" consul:leaf/web", "scheme is not consul"},
    {"consul:", "neither leaf/<service> nor leaf nor roots"},
    {"consul://", "neither leaf/<service> nor leaf nor roots"},
    {"consul:/leaf/web", "neither leaf/<service> nor leaf nor roots"},
    {"consul:///leaf/web", "neither leaf/<service> nor leaf nor roots"},
    {"consul:web", "neither leaf/<service> nor leaf nor roots"},
    {"consul:leafs/web", "neither leaf/<service> nor leaf nor roots"},
    {"consul:LEAF/web", "neither leaf/<service> nor leaf nor roots"},
    {"consul:Roots", "neither leaf/<service> nor leaf nor roots"},
    {"consul:roots/", "neither leaf/<service> nor leaf nor roots"},
    {"consul:roots/web", "neither leaf/<service> nor leaf nor roots"},
    {"consul:root", "neither leaf/<service> nor leaf nor roots"},
    {"consul:%6ceaf/web", "neither leaf/<service> nor leaf nor roots"},
    {"consul:leaf/", "service name is empty"},
    {"consul:leaf/?dc=d", "service name is empty"},
    {"consul:leaf//web", "more path after the service name"},
    {"consul:leaf/web/", "more path after the service name"},
    {"consul:leaf/web/key", "more path after the service name"},
    {"consul:leaf/.", "may not be \".\""},
    {"consul:leaf/..", "may not be \"..\""},
    {"consul:leaf/%2e%2E", "may not be \"..\""},
    {"consul:leaf/web#x", "it has a fragment"},
    {"consul:roots?dc=d#", "it has a fragment"},
    {"consul:leaf/web%", "'%' without two hexadecimal digits"},
    {"consul:leaf/web%2", "'%' without two hexadecimal digits"},
    {"consul:leaf/%g0", "'%' without two hexadecimal digits"},
    {"consul:leaf/%0g", "'%' without two hexadecimal digits"},
    {"consul:leaf/%?dc=41", "'%' without two hexadecimal digits"},
    {"consul:leaf/a%00", "service name has a zero byte"},
    {"consul:leaf/a%0Ab", "service name has a control character"},
    {"consul:leaf/a%7fb", "service name has a control character"},
    {"consul:leaf/a\tb", "service name has a control character"},
    {"consul:leaf/web?", "unknown parameter \"\""},
    {"consul:leaf/web?dc", "parameter dc has no value"},
    {"consul:leaf/web?dc=", "parameter dc is empty"},
    {"consul:leaf/web?dc=..", "parameter dc may not be"},
    {"consul:leaf/web?ns=%00", "parameter ns has a zero byte"},
    {"consul:leaf/web?ns=%4", "parameter ns has a '%'"},
    {"consul:leaf/web?partition=a%1fb", "parameter partition has a control character"},
    {"consul:leaf/web?dc=a&dc=a", "parameter dc is given twice"},
    {"consul:leaf/web?ns=a&dc=b&ns=c", "parameter ns is given twice"},
    {"consul:leaf/web?partition=a&partition=b", "parameter partition is given twice"},
    {"consul:leaf/web?DC=a", "unknown parameter \"DC\""},
    {"consul:leaf/web?namespace=a", "unknown parameter \"namespace\""},
    {"consul:leaf/web?token=secret", "unknown parameter \"token\""},
    {"consul:leaf/web?d=a", "unknown parameter \"d\""},
    {"consul:leaf/web?dcs=a", "unknown parameter \"dcs\""},
    {"consul:leaf/web?dc=a&", "unknown parameter \"\""},
    {"consul:leaf/web?&dc=a", "unknown parameter \"\""},
    {"consul:roots?service=a", "unknown parameter \"service\""},
};

static void test_refused(void **state)
{
    size_t i;

    for (i = 0; i < sizeof(refused_uris) / sizeof(refused_uris[0]); i++) {
        char quoted[128];
        consul_error err = {0};
        consul_uri uri;

        if (consul_uri_parse(refused_uris[i].text, &uri, &err))
            fail_msg("%s was accepted", refused_uris[i].text);
        assert_error(&err, CONSUL_R_URI_INVALID, refused_uris[i].why);
        /* The message names the URI and the allowed forms. */
        snprintf(quoted, sizeof(quoted), "\"%s\": ", refused_uris[i].text);
        if (strchr(quoted, '\t') == NULL)
            assert_contains(err.text, quoted);
        assert_contains(err.text, "consul:leaf/<service>");
        assert_contains(err.text, "consul:roots");
        assert_contains(err.text, "consul://");
        assert_contains(err.text, "?ns=, partition= and dc=");
    }
}

static void test_name_length(void **state)
{
    char text[CONSUL_NAME_MAX + 64];
    consul_error err = {0};
    consul_uri uri;
    int prefix = snprintf(text, sizeof(text), "consul:leaf/");

    memset(text + prefix, 'a', CONSUL_NAME_MAX + 1);
    text[prefix + CONSUL_NAME_MAX] = '\0';
    assert_int_equal(consul_uri_parse(text, &uri, &err), 1);
    assert_int_equal(strlen(uri.service), CONSUL_NAME_MAX);

    strcat(text, "a");
    assert_int_equal(consul_uri_parse(text, &uri, &err), 0);
    assert_error(&err, CONSUL_R_URI_INVALID, "service name is longer than 255 bytes");
}

/* A name that is much longer than its field is not written beyond it. */
static void test_a_long_name(void **state)
{
    static const char untouched[CONSUL_URI_MAX];
    struct {
        consul_uri uri;
        char after[CONSUL_URI_MAX];
    } place = {.after = ""};
    char text[CONSUL_URI_MAX + 1] = "consul:leaf/";

    memset(text + 12, 'a', sizeof(text) - 13);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(consul_uri_parse(text, &place.uri, NULL), 0);
    assert_memory_equal(place.after, untouched, sizeof(untouched));
}

/* The limit counts decoded bytes: a name may be three times as long when it is encoded. */
static void test_encoded_name_length(void **state)
{
    char text[3 * CONSUL_NAME_MAX + 64] = "consul:leaf/web?ns=";
    consul_error err = {0};
    consul_uri uri;
    int i;

    for (i = 0; i < CONSUL_NAME_MAX; i++)
        strcat(text, "%41");
    assert_int_equal(consul_uri_parse(text, &uri, &err), 1);
    assert_int_equal(strlen(uri.scope.ns), CONSUL_NAME_MAX);

    strcat(text, "%41");
    assert_int_equal(consul_uri_parse(text, &uri, &err), 0);
    assert_error(&err, CONSUL_R_URI_INVALID, "parameter ns is longer than 255 bytes");
}

static void test_uri_length(void **state)
{
    size_t size = CONSUL_URI_MAX + 2;
    char *text = malloc(size);
    consul_error err = {0};
    consul_uri uri;

    assert_non_null(text);
    memset(text, 'a', size);
    memcpy(text, "consul:leaf/", 12);
    text[size - 1] = '\0';
    assert_int_equal(consul_uri_parse(text, &uri, &err), 0);
    assert_error(&err, CONSUL_R_URI_INVALID, "is longer than 2048 bytes");
    assert_contains(err.text, "consul:roots"); /* the allowed forms are not cut off */
    free(text);
}

/* After an error, `uri` has neither the parts before the error nor its earlier content. */
static void test_nothing_is_left_over(void **state)
{
    consul_uri uri;

    assert_int_equal(consul_uri_parse("consul:leaf/web?ns=a&dc=b", &uri, NULL), 1);
    assert_int_equal(consul_uri_parse("consul:roots", &uri, NULL), 1);
    assert_string_equal(uri.service, "");
    assert_string_equal(uri.scope.ns, "");
    assert_string_equal(uri.scope.dc, "");
    assert_int_equal(consul_uri_parse("consul:leaf/web?x=1", &uri, NULL), 0);
}

/* An error that is set already is not overwritten. */
static void test_first_error_wins(void **state)
{
    consul_error err = {0};
    consul_uri uri;

    assert_int_equal(consul_uri_parse("consul:first", &uri, &err), 0);
    assert_int_equal(consul_uri_parse("consul:second", &uri, &err), 0);
    assert_contains(err.text, "consul:first");
    assert_lacks(err.text, "second");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_name_length),
        cmocka_unit_test(test_a_long_name),
        cmocka_unit_test(test_encoded_name_length),
        cmocka_unit_test(test_uri_length),
        cmocka_unit_test(test_nothing_is_left_over),
        cmocka_unit_test(test_first_error_wins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
