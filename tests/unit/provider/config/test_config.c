/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings in openssl.cnf that would be without effect. The error names the file, the section and
 * the setting. OpenSSL itself reports no error for them.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/store.h>

#include "agent/curl_tls.h"
#include "conf_case.h"
#include "config_file.h"
#include "store.h"

/* Another name of that row: OpenSSL compares the bytes before a dot alone, and takes a beginning of the name. */
#define HEAD_AS(name)                                       \
    "openssl_conf = openssl_init\n"                         \
    "[openssl_init]\n" name " = providers\n"                \
    "[providers]\ndefault = default_section\nconsul = us\n" \
    "[default_section]\nactivate = 1\n"
#define SSL                                                         \
    "[openssl_init]\nssl_conf = ssl\n[ssl]\nsystem_default = lib\n" \
    "[lib]\nMinProtocol = TLSv1.2\n"
/* The file of a program with a section of its own. It includes the default file after that row. */
#define FIRST "openssl_conf = first\n"
#define REPLACED                                                     \
    "[first]\nproviders = theirs\n[theirs]\nconsul = them\n[them]\n" \
    "module = MODULE\nactivate = 1\nlog = off\n"

/* Load the provider as a program does. Without a row `module` OpenSSL looks for it in a folder. */
static OSSL_PROVIDER *load_by_program(OSSL_LIB_CTX *libctx, bool by_folder)
{
    char folder[1024];
    OSSL_PROVIDER *provider;

    snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(module_path(), '/') - module_path()),
             module_path());
    if (by_folder)
        assert_int_equal(OSSL_PROVIDER_set_default_search_path(libctx, folder), 1);
    provider = OSSL_PROVIDER_load(libctx, "consul");
    assert_non_null(provider);
    return provider;
}

/* Likewise into OpenSSL's default context, of a child: a provider stays there. */
static void load_by_default(const char *path, const char *uri, char *errors, size_t size)
{
    int status, ends[2];
    ssize_t len;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    assert_true((pid = fork()) >= 0);
    if (pid == 0) {
        conf_load_into(OSSL_LIB_CTX_get0_global_default(), path, uri, errors, size);
        len = (ssize_t)strlen(errors);
        _exit(write(ends[1], errors, (size_t)len) == len ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    len = read(ends[0], errors, size - 1);
    assert_true(len >= 0);
    errors[len] = '\0';
    close(ends[0]);
}

static const struct {
    const char *rows, *words;
} files[] = {
    {HEAD US "service = web\n", NULL},
    {HEAD US "service =\n", "[us] service = \"\": it has no value"},
    {HEAD US "service = \"\"\n", "[us] service = \"\": it has no value"},
    {HEAD US "service = $ENV::CONSUL_TEST_EMPTY\n", "[us] service = \"\": it has no value"},
    {HEAD US "service = web\ninbound =\n", "[us] inbound = \"\": it has no value"},
    {HEAD US "service = web\noutbound =   # auto\n", "[us] outbound = \"\": it has no value"},
    {HEAD US "token =\nnamespace =\n", NULL},
    {HEAD US "upstreams =\n", "[us] upstreams = \"\": it has no value"},
    {HEAD US "outbound = require\n", "[us] outbound is for the connections of a service"},
    {HEAD US "service = Web\ninbound = on\n", "[us] inbound = \"on\": allowed are"},
    /* names */
    {HEAD US "sevice = web\n", "[us] sevice: there is no such setting; the nearest is service"},
    {HEAD US "Service = web\n", "[us] Service: there is no such setting; the nearest is service"},
    {HEAD US "inbuond = off\n", "the nearest is inbound"},
    {HEAD US "upstream = rows\n[rows]\na = b\n", "the nearest is upstreams"},
    {HEAD US "actviate = 1\n", "the nearest is activate"},
    {HEAD US "authorise_timeout = 1s\n", "the nearest is authorize_timeout"},
    {HEAD US "certificate = x\n", "[us] certificate: there is no such setting"},
    {HEAD US "x = y\n", "[us] x: there is no such setting"},
    {HEAD US "upstreams.db = db\n", "[us] upstreams.db: there is no such setting"},
    /* twice */
    {HEAD US "service = web\nservice = api\n", "[us] service: it stands there twice"},
    {HEAD US "service = web\n[other]\na = b\n[us]\nservice = web\n", "[us] service: it stands"},
    {HEAD US "service = web\n[other]\na = b\nus::service = web\n", "[us] service: it stands"},
    {HEAD US "activate = 1\n", "[us] activate: it stands there twice"},
    {HEAD US "token = a\n[other]\na = 1\na = 2\nb = ${us::token}\n", NULL},
    {HEAD US "token = a\ndatacenter = x$token\nnamespace = ${us::token}\n", NULL},
    {ROWS "a.b = db\nc.d = db\na.b = web\n", "[rows] a.b: it stands there twice"},
    {HEAD US "[providers]\nconsul = us\n", "[providers] consul: one provider has two sections"},
    {HEAD US "[second]\nmodule = MODULE\nactivate = 1\nidentity = consul\nservice = web\n"
             "[providers]\nanother = second\n",
     "one provider has two sections here"},
    /* elsewhere */
    {HEAD US "[default_section]\nservice = web\n",
     "[default_section] service: this is a setting of another provider, and belongs into the "
     "section us"},
    {ROWS "service = web\n", "[rows] service: this is a setting and no host, and belongs into the "
                             "section us"},
    {ROWS "db.internal = db\noutbound = require\n", "[rows] outbound: this is a setting"},
    {ROWS "activate = 1\n", "[rows] activate: this is a setting"},
    {"service = web\n" HEAD US, "[default] service: this is without effect"},
    {"service = web\n" HEAD US "service = $service\n", NULL},
    {"domain = example.com\n" HEAD US, NULL},
    {HEAD US SSL "service = web\n", "[lib] service: this is without "
                                    "effect, and belongs into the section us"},
    {HEAD US "service = web\n" SSL "outbound = off\n", "[lib] outbound: this is without effect"},
    {HEAD US "service = web\n" SSL "service = web\n", NULL},
    {HEAD US SSL, NULL},
    {HEAD US "[openssl_init]\nservice = web\n", "[openssl_init] service: this is without effect"},
    {HEAD US "[upstreams_sect]\nservice = web\n",
     "[upstreams_sect] service: this is without effect"},
    {HEAD US "[rr]\nservice = web\n", "[rr] service: this is without effect"},
    {HEAD US "service = web\n[another_program]\nservice = x\nupstream = y\n", NULL},
    {HEAD US "[openssl_init]\nssl_conf = ssl\n[ssl]\nservice = web\nsystem_default = lib\n[lib]\n",
     "[ssl] service: this is without effect"},
    {"oid_section = o\n" HEAD US "[o]\nservice = 1.2.3.4\n", NULL},
    {HEAD US "[providers]\nfips = f\n[f]\nconditional-errors = 1\nservice = web\n",
     "[f] service: this is a setting of another provider, and belongs into the section us"},
    {HEAD US "[providers]\ntokens = t\n[t]\nmodule = tokens.so\nlog = x\nservice = web\n",
     "[t] service: this is without effect"},
    {HEAD US "[providers]\ntokens = t\n[t]\nmodule = tokens.so\nlog = x\n", NULL},
    {HEAD US "[providers]\nconsul2 = t\n[t]\nmodule = MODULE\nactivate = 1\nservice = web\n", NULL},
    {HEAD US "[providers]\nconsul2 = t\n[t]\nmodule = MODULE\nservice = web\n",
     "[t] service: this is without effect"},
    {"nodejs_conf = first\n" FIRST HEAD US REPLACED "service = web\n",
     "[them] service: this is without effect"},
    {HEAD US "[openssl_init]\nalg_section = a\n[a]\ndefault_properties =\nservice = web\n",
     "[a] service: this is without effect"},
    {HEAD US "[openssl_init]\nrandom = r\n[r]\nrandom = CTR-DRBG\noutbound = off\n",
     "[r] outbound: this is without effect"},
    {HEAD US "[openssl_init]\nalg.1 = a\n[a]\nservice = web\n", "[a] service: this is"},
    {HEAD US "[openssl_init]\noid_section = o\n[o]\nservice = 1.2.3.4\n", NULL},
    {HEAD US "[openssl_init]\nssl = ssl\n[ssl]\nserver = lib\n[lib]\nservice = web\n",
     "[lib] service: this is"},
    /* the row `providers` by its other names */
    {HEAD_AS("provider") US "sevice = web\n", "[us] sevice: there is no such setting"},
    {HEAD_AS("p") US "service = web\nservice = web\n", "[us] service: it stands there twice"},
    {HEAD_AS("providers.ours") US "[default_section]\nservice = web\n",
     "[default_section] service: this is a setting of another provider"},
    {HEAD_AS("provider") US "service = web\n", NULL},
    {HEAD US "[openssl_init]\nproviders.2 = more\n[more]\nconsul = second\n[second]\n"
             "service = web\n",
     "one provider has two sections here"},
    {HEAD US "[providers]\nservice = web\n[web]\n", "[providers] service: this is a setting and"},
    {HEAD US "service = other\n[other]\n", "rename that section"},
    {ROWS "db.internal = db\n[db]\na = b\n",
     "[rows] db.internal = db: OpenSSL takes the value for the section [db]"},
    {HEAD US "service = web\n[openssl_init]\nproviders = more\n[more]\nconsul = second\n[second]\n"
             "module = MODULE\nactivate = 1\nlog = off\n[more]\ndefault = default_section\n",
     "[openssl_init] providers: one provider has two sections here"},
    {HEAD US "[openssl_init]\nproviders = more\n[more]\ndefault = default_section\nconsul = us\n",
     NULL},
    {HEAD US "service = web\n[providers]\ndefault = default_section\nconsul = second\n[second]\n"
             "module = MODULE\nactivate = 1\nlog = off\n",
     "[providers] consul: one provider has two sections here"},
    {FIRST HEAD US REPLACED "service = web\n", "[them] service: this is without effect"},
    {FIRST HEAD US "service = api\n" REPLACED "service = web\n", NULL},
    {FIRST HEAD US REPLACED, NULL},
    {FIRST HEAD US "[first]\nproviders = theirs\n[theirs]\ndefault = default_section\n", NULL},
    {"nodejs_conf = first\n" HEAD US REPLACED "service = web\n", NULL},
    {"nodejs_conf = first\n" HEAD US "[first]\nproviders = theirs\n[theirs]\nconsul = them\n"
     "[them]\nactivate = 1\nservice = web\n",
     NULL},
    {HEAD US "token = hidden\n[hidden]\na = b\n",
     "[us] token = (secret): OpenSSL takes the value for the section [(secret)]"},
    {ROWS "db.internal = db?x=y\n", "[rows] db.internal = db?x=y: \"db?x=y\" is not <service>"},
    {HEAD US "x.identity = another\nservice = web\n",
     "[us] x.identity: there is no such setting; the nearest is identity"},
    {"identity = x\n" HEAD US "srvc = web\n", "[us] srvc: there is no such setting"},
    {"identity = x\n" HEAD US "service = web\n[web]\n", "rename that section"},
    {"identity = x\n" HEAD US "service = web\n", NULL},
    /* another application's */
    {"nodejs_conf = openssl_init\n" HEAD US "sevice = web\n", "the nearest is service"},
    {HEAD "[us]\nmodule = MODULE\nactivate = 1\n[node]\nproviders = their_providers\n"
          "[their_providers]\nconsul = theirs\n[theirs]\nsevice = web\n",
     "[theirs] sevice: there is no such setting; the nearest is service"},
};

static void test_files(void **state)
{
    size_t i;

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        conf_check(files[i].rows, files[i].words);
}

/* Rows of `upstreams`: good rows, and bad rows with the words of their error. */
#define NAME "no program asks for a host by this name; "
#define ADDRESS "an address is not to be seen in a handshake"

static const struct {
    const char *row, *words;
} rows[] = {
    {"db.internal", NULL},
    {"db", NULL},
    {"xn--mnchen-3ya.example", NULL},
    {"my_db.internal", NULL},
    {"*.internal", NULL},
    {"*.db.internal", NULL},
    {"DB.internal", NAME "write db.internal; allowed are"},
    {"db.internal.", NAME "write db.internal; "},
    {".db.internal", NAME "write db.internal; "},
    {"*.DB.internal", NAME "write *.db.internal; "},
    {"db.internal\\:5432", NAME "write db.internal; "},
    {"https\\://db.internal/x", NAME "write db.internal; "},
    {"db.internal/path", NAME "write db.internal; "},
    {"*", NAME "allowed are"},
    {"*.*.internal", NAME "allowed are"},
    {"db*.internal", NAME "allowed are"},
    {"a.*.internal", NAME "allowed are"},
    {"db..internal", NAME "allowed are"},
    {"127.1", NAME "allowed are"},
    {"127.0.0.256", NAME "allowed are"},
    {"*.0.0.1", NAME "allowed are"},
    {"a-label-that-is-longer-than-it-may-be-by-some-bytes-xxxxxxxxxxxxx.internal",
     NAME "allowed are"},
    {"127.0.0.1", ADDRESS},
    {"10.0.0.0/8", ADDRESS},
    {"https\\://127.0.0.1\\:8443/", ADDRESS},
    {"\\:\\:1", ADDRESS},
    {"2001\\:db8\\:\\:1", ADDRESS},
};

static void test_rows(void **state)
{
    char text[1024], words[256];
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(text, sizeof(text), ROWS "%s = db\n", rows[i].row);
        snprintf(words, sizeof(words), "[rows] %s = db: %s", rows[i].row,
                 rows[i].words == NULL ? "" : rows[i].words);
        conf_check(text, rows[i].words == NULL ? NULL : words);
    }
}

/* A file that OpenSSL includes is read as OpenSSL reads it. */
static void test_included(void **state)
{
    char text[1024];

    snprintf(text, sizeof(text), HEAD ".include %s\n", conf_place.included);
    conf_write(conf_place.included, US "service = web\n");
    conf_check(text, NULL);
    conf_write(conf_place.included, US "service = web\nservice = web\n");
    conf_check(text, "[us] service: it stands there twice");
    snprintf(text, sizeof(text), HEAD US "service = web\n.include %s\n", conf_place.included);
    conf_write(conf_place.included, "service = api\n");
    conf_check(text, "[us] service: it stands there twice");
    unlink(conf_place.included);
}

/* OpenSSL goes on without a file that it cannot include. A service in that file would not be governed. */
static void test_not_included(void **state)
{
    char text[1024];

    unlink(conf_place.included);
    snprintf(text, sizeof(text), HEAD US ".include %s\n", conf_place.included);
    conf_check(text, "OpenSSL passes over a file that it cannot include");
    conf_check(text, conf_place.included);
    conf_check(HEAD US ".include a-path-from-elsewhere.cnf\n", "a-path-from-elsewhere.cnf");
    conf_write(conf_place.included, "service = web\n");
    snprintf(text, sizeof(text), HEAD US ".include %s\n", conf_place.included);
    conf_check(text, NULL);
    unlink(conf_place.included);
}

/* The program has loaded another file than the default one, and nothing tells which. */
static void test_another_file(void **state)
{
    static const struct {
        const char *rows, *words;
    } others[] = {
        {"service = web\nrequest_timeout = 2s\ntoken = x\ntls = on\nca_file = /c\nca_path = /c\n",
         NULL},
        {"sevice = web\n", "sevice: there is no such setting; the nearest is service"},
        {"servicee = web\n", "servicee: there is no such setting; the nearest is service"},
        {"Service = web\n", "Service: there is no such setting; the nearest is service"},
        {"serivce = web\n", "serivce: there is no such setting; the nearest is service"},
        {"request-timeout = 1s\n", "the nearest is request_timeout"},
        {"service =\n", "service = \"\": it has no value"},
    };
    char text[1024], errors[4096];
    size_t i;

    unlink(conf_place.path);
    for (i = consul_curl_tls_is_ours() ? 0 : 1; i < sizeof(others) / sizeof(others[0]); i++) {
        snprintf(text, sizeof(text), HEAD US "%s", others[i].rows);
        conf_write(conf_place.included, text);
        conf_load(conf_place.included,
                  others[i].words == NULL ? "consul://nothing" : "consul://roots", errors,
                  sizeof(errors));
        assert_contains(errors,
                        others[i].words == NULL ? "consul:leaf/<service>" : others[i].words);
    }
    unlink(conf_place.included);
}

/* The program loads the provider by itself, and its own file has a section for that without `activate`. */
static void test_a_section_that_is_not_activated(void **state)
{
    static const char *const others[] = {
        "[us]\nmodule = MODULE\nlog = off\nrequest-timeout = 1s\n",
        "[us]\nmodule = MODULE\nlog = off\nsevice = web\n",
        "[us]\nlog = off\nsevice = web\n",
    };
    char text[1024], errors[4096];
    OSSL_PROVIDER *provider;
    OSSL_LIB_CTX *libctx;
    size_t i;

    unlink(conf_place.path);
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        snprintf(text, sizeof(text), HEAD "%s", others[i]);
        conf_write(conf_place.included, text);
        libctx = OSSL_LIB_CTX_new();
        assert_int_equal(OSSL_LIB_CTX_load_config(libctx, conf_place.included), 1);
        provider = load_by_program(libctx, strstr(others[i], "module") == NULL);
        conf_collect(libctx, "consul://roots", errors, sizeof(errors));
        assert_contains(errors,
                        i == 0 ? "the nearest is request_timeout" : "the nearest is service");
        OSSL_PROVIDER_unload(provider);
        OSSL_LIB_CTX_free(libctx);
    }
    unlink(conf_place.included);
}

/* OpenSSL has read the default file, and a FIFO can be read once. The settings are checked by their names. */
static void test_a_fifo(void **state)
{
    char errors[4096];

    unlink(conf_place.path);
    assert_int_equal(mkfifo(conf_place.path, 0600), 0);
    conf_write(conf_place.included, HEAD US "sevice = web\n");
    alarm(20); /* a second open would wait without end */
    conf_load(conf_place.included, "consul://roots", errors, sizeof(errors));
    alarm(0);
    assert_contains(errors, "sevice: there is no such setting");
    unlink(conf_place.included);
    unlink(conf_place.path);
}

/* The default file has a section, too. Neither its names nor its place are those of another file. */
static void test_another_file_beside_ours(void **state)
{
    static const struct {
        const char *rows, *words;
    } others[] = {
        {"servcie = web\n", "servcie: there is no such setting; the nearest is service"},
        {"service = web\noutbuond = require\n", "the nearest is outbound"},
        {"address = 127.0.0.1:2\nautorize_timeout = 1s\n", "the nearest is authorize_timeout"},
        {"service = web\ninbound = on\n", "inbound = \"on\": allowed are"},
    };
    char text[1024], errors[4096];
    size_t i;

    conf_write(conf_place.path, HEAD US "address = 127.0.0.1:1\n");
    for (i = 0; i < 2 * sizeof(others) / sizeof(others[0]); i++) {
        snprintf(text, sizeof(text), HEAD US "%s%s",
                 strstr(others[i / 2].rows, "address") == NULL ? "address = 127.0.0.1:1\n" : "",
                 others[i / 2].rows);
        conf_write(conf_place.included, text);
        (i % 2 == 0 ? conf_load : load_by_default)(conf_place.included, "consul://roots", errors,
                                                   sizeof(errors));
        assert_contains(errors, others[i / 2].words);
        assert_lacks(errors, conf_place.path);
    }
    conf_write(conf_place.included, HEAD US "address = 127.0.0.1:1\nservice = web\n");
    load_by_default(conf_place.included, "consul://nothing", errors, sizeof(errors));
    assert_contains(errors, "consul:leaf/<service>");
    /* A slip that does not decide about TLS, beside the same values. */
    conf_write(conf_place.included, HEAD US "address = 127.0.0.1:1\nautorize_timeout = 1s\n");
    conf_load(conf_place.included, "consul://roots", errors, sizeof(errors));
    assert_contains(errors, "the nearest is authorize_timeout");
    unlink(conf_place.included);
}

/* With this value OpenSSL comes to our section again, and does not load the provider. The default file is not the loaded one. */
static void test_a_value_of_no_row(void **state)
{
    char errors[4096];

    conf_write(conf_place.path, HEAD US "namespace = default\n");
    conf_load(conf_place.path, "consul://roots", errors, sizeof(errors));
    assert_contains(errors, "No store loader found");
    conf_write(conf_place.included, HEAD US);
    conf_load(conf_place.included, "consul://roots", errors, sizeof(errors));
    assert_contains(errors, "[us] namespace = default: OpenSSL takes the value for the lines above "
                            "all sections; no row can have it");
    unlink(conf_place.included);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_included),
        cmocka_unit_test(test_not_included),
        cmocka_unit_test(test_another_file),
        cmocka_unit_test(test_a_section_that_is_not_activated),
        cmocka_unit_test(test_a_fifo),
        cmocka_unit_test(test_another_file_beside_ours),
        cmocka_unit_test(test_a_value_of_no_row),
    };

    /* The process's own configuration has no part here. */
    setenv("OPENSSL_CONF", "/dev/null", 1);
    OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
    return cmocka_run_group_tests(tests, conf_set_up, conf_tear_down);
}
