/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's answers: every case of the corpus, and the rules for all of them. */
#include "unit.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ui.h>

#include "agent/decode.h"
#include "identity/snapshots.h"
#include "mint.h"

#define FILE_MAX_SIZE ((size_t)1 << 20)
#define CORPUS_MIN 20 /* cases in each folder: fewer, and the corpus was not found */

static bool prompted;
static OSSL_LIB_CTX *libctx; /* of its own: nothing may come from the default one */

/* ---- the corpus ---- */

typedef struct test_case {
    char folder[1024]; /* for messages, too */
    char *kind, *input, *third;
    size_t input_len;
} test_case;

static char *read_file(const char *folder, const char *name, size_t *len)
{
    char path[2048], *data = malloc(FILE_MAX_SIZE);
    FILE *file;

    assert_non_null(data);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "r");
    if (file == NULL)
        fail_msg("%s cannot be read", path);
    *len = fread(data, 1, FILE_MAX_SIZE - 1, file);
    fclose(file);
    data[*len] = '\0';
    return data;
}

static char *read_line(const char *folder, const char *name)
{
    size_t len;
    char *text = read_file(folder, name, &len);

    while (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
    return text;
}

static int no_dots(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

typedef void check_fn(const test_case *one);

static void for_each_case(const char *folder, const char *third, check_fn *check)
{
    const char *corpus = getenv("CONSUL_TEST_CORPUS");
    struct dirent **entries;
    char path[512];
    int i, count;

    assert_non_null(corpus);
    snprintf(path, sizeof(path), "%s/%s", corpus, folder);
    count = scandir(path, &entries, no_dots, alphasort);
    assert_between(count, CORPUS_MIN, 10000);
    for (i = 0; i < count; i++) {
        test_case one;

        snprintf(one.folder, sizeof(one.folder), "%s/%s", path, entries[i]->d_name);
        one.kind = read_line(one.folder, "kind");
        one.input = read_file(one.folder, "input.json", &one.input_len);
        one.third = read_line(one.folder, third);
        check(&one);
        free(one.kind);
        free(one.input);
        free(one.third);
        free(entries[i]);
    }
    free(entries);
}

/* ---- decoded values, in the form of the expect files ---- */

static void describe_roots(const consul_roots *roots, char *text, size_t size)
{
    snprintf(text, size, "trust_domain %s\ncerts %d", consul_roots_trust_domain(roots),
             sk_X509_num(consul_roots_certs(roots)));
}

static void describe_leaf(const consul_leaf *leaf, char *text, size_t size)
{
    snprintf(text, size, "uri %s\nservice %s\nkey %s\nchain %d", consul_leaf_id(leaf)->uri,
             consul_leaf_id(leaf)->service, EVP_PKEY_get0_type_name(consul_leaf_key(leaf)),
             sk_X509_num(consul_leaf_chain(leaf)));
    assert_int_equal(X509_check_private_key(consul_leaf_cert(leaf), consul_leaf_key(leaf)), 1);
}

/* Decode, describe and free. 0 if it was refused. */
static int decode(const char *kind, const char *body, size_t len, char *text, size_t size,
                  consul_error *err)
{
    int ok = 0;

    if (strcmp(kind, "roots") == 0) {
        consul_roots *roots = consul_roots_decode(body, len, libctx, err);

        ok = roots != NULL;
        if (ok)
            describe_roots(roots, text, size);
        consul_roots_unref(roots);
    } else if (strcmp(kind, "leaf") == 0) {
        consul_leaf *leaf = consul_leaf_decode(body, len, libctx, err);

        ok = leaf != NULL;
        if (ok)
            describe_leaf(leaf, text, size);
        consul_leaf_unref(leaf);
    } else if (strcmp(kind, "authorize") == 0) {
        bool authorized = true;
        char reason[256] = "";

        ok = consul_verdict_decode(body, len, &authorized, reason, sizeof(reason), err);
        if (ok)
            snprintf(text, size, "authorized %s\nreason %s", authorized ? "true" : "false", reason);
        else
            assert_false(authorized);
    } else {
        fail_msg("unknown kind %s", kind);
    }
    return ok;
}

static void check_valid(const test_case *one)
{
    char text[4096] = "";
    consul_error err = {0};

    if (!decode(one->kind, one->input, one->input_len, text, sizeof(text), &err))
        fail_msg("%s: %s", one->folder, err.text);
    if (strcmp(text, one->third) != 0)
        fail_msg("%s: got\n%s\ninstead of\n%s", one->folder, text, one->third);
    assert_int_equal(err.reason, 0);
}

static void check_invalid(const test_case *one)
{
    char text[4096] = "";
    consul_error err = {0};

    if (decode(one->kind, one->input, one->input_len, text, sizeof(text), &err))
        fail_msg("%s was accepted:\n%s", one->folder, text);
    if (err.reason != CONSUL_R_AGENT_ANSWER_INVALID || strstr(err.text, one->third) == NULL)
        fail_msg("%s: \"%s\" (%d) instead of \"%s\"", one->folder, err.text, err.reason,
                 one->third);
    /* Secrets are not for logs. */
    assert_null(strstr(err.text, "BEGIN"));
}

static void test_valid(void **state)
{
    for_each_case("valid", "expect", check_valid);
    assert_int_equal(ERR_peek_error(), 0);
    assert_false(prompted);
}

static void test_invalid(void **state)
{
    for_each_case("invalid", "error", check_invalid);
    assert_int_equal(ERR_peek_error(), 0); /* they tell in consul_error alone */
    assert_false(prompted);
}

/* Check that an answer that was cut anywhere is refused. Nothing is read beyond its end. */
static void check_cut(const test_case *one)
{
    size_t len, end = one->input_len;

    while (end > 0 && one->input[end - 1] != '}')
        end--;
    for (len = 0; len < end; len++) {
        char *exact = malloc(len == 0 ? 1 : len), text[4096];

        assert_non_null(exact);
        memcpy(exact, one->input, len);
        if (decode(one->kind, exact, len, text, sizeof(text), NULL))
            fail_msg("%s: its first %zu bytes were accepted", one->folder, len);
        free(exact);
    }
}

static void test_cut(void **state)
{
    static const char *const names[] = {"roots-1.8.7", "leaf-1.8.7", "authorize-1.8.7"};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        test_case one;

        snprintf(one.folder, sizeof(one.folder), "%s/valid/%s", getenv("CONSUL_TEST_CORPUS"),
                 names[i]);
        one.kind = read_line(one.folder, "kind");
        one.input = read_file(one.folder, "input.json", &one.input_len);
        check_cut(&one);
        free(one.kind);
        free(one.input);
    }
}

/* Check the refusal without a place for the error, too. */
static void check_without_error(const test_case *one)
{
    char text[4096];

    assert_false(decode(one->kind, one->input, one->input_len, text, sizeof(text), NULL));
}

static void test_invalid_without_error(void **state)
{
    for_each_case("invalid", "error", check_without_error);
}

/* Decode beside an application's error on the queue. It stays there, and is no error of ours. */
static int decode_beside_an_error(const test_case *one, consul_error *err)
{
    char text[4096];
    int ok;

    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 42);
    ok = decode(one->kind, one->input, one->input_len, text, sizeof(text), err);
    assert_int_equal(ERR_GET_REASON(ERR_get_error()), 42);
    assert_int_equal(ERR_peek_error(), 0);
    return ok;
}

static void check_valid_with_queue(const test_case *one)
{
    consul_error err = {0};

    if (!decode_beside_an_error(one, &err))
        fail_msg("%s: %s", one->folder, err.text);
}

static void check_invalid_with_queue(const test_case *one)
{
    consul_error err = {0};

    if (decode_beside_an_error(one, &err) || strstr(err.text, one->third) == NULL)
        fail_msg("%s: \"%s\" instead of \"%s\"", one->folder, err.text, one->third);
}

static void test_queue_is_kept(void **state)
{
    for_each_case("valid", "expect", check_valid_with_queue);
    for_each_case("invalid", "error", check_invalid_with_queue);
}

static void test_long_reason_is_cut(void **state)
{
    char body[2048] = "{\"Authorized\": false, \"Reason\": \"", reason[16];
    bool authorized = true;
    size_t len = strlen(body);

    memset(body + len, 'r', 1000);
    strcpy(body + len + 1000, "\"}");
    assert_int_equal(
        consul_verdict_decode(body, strlen(body), &authorized, reason, sizeof(reason), NULL), 1);
    assert_false(authorized);
    assert_string_equal(reason, "rrrrrrrrrrrrrrr");
}

/* ---- without memory ---- */

static long failing; /* the number of the allocation that fails */

static void *failing_malloc(size_t size)
{
    return --failing == 0 ? NULL : malloc(size);
}

/* Without memory, jansson leaves bytes out of a string. Such an answer is refused. */
static void test_without_memory(void **state)
{
    static const char body[] =
        "{\"TrustDomain\": \"11111111-2222-3333-4444-555555555555.consul\", "
        "\"\\u00e9\\u20ac\\ud83d\\ude00\\n\\\"\\\\\": [\"\xc3\xa9\", {\"a\": 1}]}";
    consul_error err = {0};
    json_t *json = NULL;
    long number;

    json_set_alloc_funcs(failing_malloc, free);
    for (number = 1; number == 1 || failing <= 0; number++) {
        json_decref(json);
        failing = number;
        json = consul_json_load_object(body, sizeof(body) - 1, &err);
        if (json != NULL)
            assert_string_equal(json_string_value(json_object_get(json, "TrustDomain")),
                                "11111111-2222-3333-4444-555555555555.consul");
    }
    json_set_alloc_funcs(malloc, free);
    assert_true(number > 10);
    assert_non_null(json);
    json_decref(json);
}

/* A token of a thousand years is renewed after some of one year. */
static void test_a_long_life(void **state)
{
    static const char body[] = "{\"SecretID\": \"a\", \"CreateTime\": \"2026-11-28T00:00:00Z\", "
                               "\"ExpirationTime\": \"3026-11-28T00:00:00Z\"}";
    char token[8];
    int64_t life;

    assert_int_equal(consul_login_decode(body, sizeof(body) - 1, token, sizeof(token), &life, NULL),
                     1);
    assert_string_equal(token, "a");
    assert_int_equal(life, 366 * 24 * 3600 * INT64_C(1000));
}

/* ---- secrets ---- */

static const char *secret; /* the beginning of a text that no freed block may have */
static int left_behind;

static void *zeroing_malloc(size_t size)
{
    return calloc(1, size);
}

static void look_and_free(void *block)
{
    if (block != NULL && malloc_usable_size(block) >= strlen(secret)
        && memcmp(block, secret, strlen(secret)) == 0)
        left_behind++;
    free(block);
}

static void test_a_token_is_overwritten(void **state)
{
    static const char body[] = "{\"SecretID\": \"7f3c61aa-53cd\", \"AccessorID\": \"a\"}";
    char token[64];
    int64_t life;

    secret = "7f3c61aa-53cd";
    left_behind = 0;
    json_set_alloc_funcs(zeroing_malloc, look_and_free);
    assert_int_equal(consul_login_decode(body, sizeof(body) - 1, token, sizeof(token), &life, NULL),
                     1);
    json_set_alloc_funcs(malloc, free);
    assert_string_equal(token, secret);
    assert_int_equal(left_behind, 0);
}

static void test_a_key_is_overwritten(void **state)
{
    minted ca = mint_ca("td.consul"), web = mint_leaf(&ca, "td.consul", "web");
    char *cert = mint_cert_pem(web.cert), *key = mint_key_pem(web.key), *body;
    json_t *json = json_pack("{s:s, s:s}", "CertPEM", cert, "PrivateKeyPEM", key);
    consul_leaf *leaf;

    body = json_dumps(json, 0);
    json_decref(json);
    secret = key;
    left_behind = 0;
    json_set_alloc_funcs(zeroing_malloc, look_and_free);
    leaf = consul_leaf_decode(body, strlen(body), libctx, NULL);
    json_set_alloc_funcs(malloc, free);
    assert_non_null(leaf);
    assert_int_equal(left_behind, 0);
    consul_leaf_unref(leaf);
    free(body);
    free(cert);
    free(key);
    minted_free(&web);
    minted_free(&ca);
}

/* ---- nobody is asked for a passphrase ---- */

static int note_prompt(UI *ui)
{
    prompted = true;
    return 0;
}

static int set_up(void **state)
{
    UI_METHOD *method = UI_create_method("no questions");

    UI_method_set_opener(method, note_prompt);
    UI_set_default_method(method);
    *state = method;
    libctx = OSSL_LIB_CTX_new();
    return libctx == NULL;
}

static int tear_down(void **state)
{
    UI_set_default_method(UI_OpenSSL());
    UI_destroy_method(*state);
    OSSL_LIB_CTX_free(libctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_invalid_without_error),
        cmocka_unit_test(test_queue_is_kept),
        cmocka_unit_test(test_long_reason_is_cut),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_a_long_life),
        cmocka_unit_test(test_a_token_is_overwritten),
        cmocka_unit_test(test_a_key_is_overwritten),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
