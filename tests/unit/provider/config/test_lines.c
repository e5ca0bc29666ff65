/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of openssl.cnf that OpenSSL loses, by the line before or by a misspelt include. So are hosts that no row names, and
 * rows that this provider loses where memory is short.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "conf_case.h"
#include "config/check.h"
#include "store.h"

#define HOSTS "[upstreams_sect]\ndb.internal = db\n"
#define NO_EFFECT " is without effect: for OpenSSL it is no row of [us]"
#define NO_HOST " is without effect: for OpenSSL it is no row of [rows]"
#define TABLE HEAD US "upstreams = rows\n[rows]\n"

static const struct {
    const char *rows, *words;
} files[] = {
    /* a backslash at the end of a comment */
    {HEAD US "# in C:\\\nservice = web\n", "line 14" NO_EFFECT},
    {HEAD US "# in C:\\\r\nservice = web\r\n", "line 14" NO_EFFECT},
    {HEAD US "log_level = info # or debug \\\n  service = web\n", "line 14" NO_EFFECT},
    {HEAD US "log_level = \"info\" # or debug \\\n  service=web\n", "line 14" NO_EFFECT},
    {HEAD US "# \\\n# \\\nservice = web\n", "line 15" NO_EFFECT},
    {HEAD US "# \\\n.include x\n", "line 14 is without effect: OpenSSL joins it"},
    {HEAD "[them]\n# \\\n[us]\nservice = web\n[us]\nmodule = MODULE\nactivate = 1\nlog = off\n",
     "line 12" NO_EFFECT},
    {TABLE "# hosts \\\ndb.internal = db\n", "line 16" NO_HOST},
    {TABLE "a.b = db # first \\\nc.d = db\n", "line 16" NO_HOST},
    {TABLE "# the \\\n hosts \\\na.b = db\n", "line 17" NO_HOST},
    {TABLE "# the hosts \\\n*.b = db\n", "line 16" NO_HOST},
    {TABLE "# the hosts\na.b = db\n*.b = db\n", NULL},
    {HEAD US "# in C:\\\nof all words\nservice = web\n", NULL},
    {HEAD US "# in C:\\\n# service = web\nservice = web\n", NULL},
    {HEAD US "# in C:\\\\\n.include /dev/null\nservice = web\n", NULL},
    {HEAD US "# in C:\\ \nservice = web\n", NULL},
    {HEAD US "[other]\n# \\\na = b\n", NULL},
    /* at the end of a row */
    {HEAD US "token = x\\\nus::service = web\n", "line 14" NO_EFFECT},
    {HEAD US "token = x\n[other]\na = b\\\nus::service = web\n", "line 16" NO_EFFECT},
    {HEAD US "token = abc\\\ndef\nservice = web\n", NULL},
    {HEAD US "service = \\\nweb\n", NULL},
    {HEAD US "service = web\n[other]\nus::log_level = info\n", NULL},
    {HEAD US "service = web\nother::name = x\n", NULL},
    {HEAD US "other::service = x\nservice\\ = web\nservice = web\n", "[us] service\\ : there is"},
    /* lines without an end */
    {HEAD US "# a comment\rservice = web\n", "line 13" NO_EFFECT},
    {HEAD US "[us]service = web\n", "line 13 has more than the name of a section"},
    {HEAD US "[ us ] service = web\n", "line 13 has more than the name of a section"},
    {HEAD US "[ us ] # of all, as service = api\nservice = web\n", NULL},
    {HEAD US "[other] a = b\n", NULL},
    {HEAD US "[other] us::service = web\n", "line 13 has more than the name of a section"},
    {HEAD US "[other] .include /x\n", "line 13 has more than the name of a section"},
    {HEAD US "[us] ; the provider\nservice = web\n[us]]\n", NULL},
    {"\xEF\xBB\xBF" US "# \\\nlog_level = info\n[default]\n" HEAD, "line 6 is without effect"},
    {HEAD US "# x\r.include /x\n", "line 13 is without effect: OpenSSL joins it"},
    {HEAD US ".pragma = dollarid:true\nservice = web\n", NULL},
    /* a row of the same name */
    {HEAD US "inbound = off\nservice = web\n# C:\\\ninbound = require\n", "line 16" NO_EFFECT},
    {TABLE "a.b = db\n# x \\\na.b = api\n", "line 17" NO_HOST},
    {HEAD US "address = \\\n[::1]:8500\nservice = web\n# x \\\ninbound = require\n",
     "line 17" NO_EFFECT},
    /* hosts */
    {HEAD US HOSTS, "[upstreams_sect] db.internal: it is without effect, as no row upstreams"},
    {HEAD US "#upstreams = upstreams_sect\n" HOSTS, "such a row belongs into the section us"},
    {HEAD US "upstreams = rows\n[rows]\na = b\n" HOSTS, "[upstreams_sect] db.internal: it is"},
    {HEAD US "[other]\nupstreams = upstreams_sect\n[us]\nservice = web\n" HOSTS,
     "[other] upstreams: this is without effect"},
    {HEAD US "[upstreams]\ndb.internal = db\n", "[upstreams] db.internal: it is without effect"},
    {HEAD US "service = web\nupstreams = upstreams_sect\n" HOSTS, NULL},
    {HEAD US "[upstreams_sect]\n", NULL},
    /* a provider of another module, in the list of this one */
    {HEAD US "[providers]\nthing = other\n"
             "[other]\nmodule = /x/thing.so\nsoft_load = 1\nactivate = 1\nservice = web\n",
     "[other] service: this is without effect, and belongs into the section us"},
    /* includes */
    {HEAD US "[other]\n.includ = /x\n", "[other] .includ: OpenSSL includes no file by this row"},
    {"include = /x\n" HEAD US, "[default] include: OpenSSL includes no file by this row"},
    {HEAD US "[other]\n.Include = /x\n", "[other] .Include: OpenSSL includes no file by this row"},
    {HEAD US "[other]\nincludes = /x\n", NULL},
};

static void test_rows_that_are_lost(void **state)
{
    size_t i;

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        conf_check(files[i].rows, files[i].words);
}

/* OpenSSL up to 3.1 takes any value of `activate`. From 3.2 on, it does not load a provider with a wrong one. */
static void test_a_row_in_the_value_of_activate(void **state)
{
    static const char *const values[] = {"1\\\nservice = web\n", "1service = web\n"};
    char text[1024], errors[4096];
    size_t i;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        snprintf(text, sizeof(text), HEAD "[us]\nmodule = MODULE\nlog = off\nactivate = %s",
                 values[i]);
        conf_write(conf_place.path, text);
        conf_load(conf_place.path, "consul://nothing", errors, sizeof(errors));
        assert_contains(errors, OpenSSL_version_num() < 0x30200000L
                                    ? "[us] activate: allowed are 1, yes"
                                    : "No store loader found");
    }
}

/* OpenSSL reads a line to a NUL byte, and joins the next line to that. */
static void test_a_nul_byte(void **state)
{
    char errors[4096];
    FILE *file;

    conf_write(conf_place.path, HEAD US "log_level = info");
    file = fopen(conf_place.path, "a");
    assert_non_null(file);
    assert_int_equal(fwrite("\0\nservice = web\n", 1, 16, file), 16);
    assert_int_equal(fclose(file), 0);
    conf_load(conf_place.path, "consul://roots", errors, sizeof(errors));
    assert_contains(errors, "line 14" NO_EFFECT);
}

/* An included file may begin a section, and OpenSSL goes on with that behind it. */
static void test_a_section_of_an_included_file(void **state)
{
    char text[1024];

    conf_write(conf_place.included, "[other]\na = b\n");
    snprintf(text, sizeof(text), HEAD US ".include %s\nservice = web\n", conf_place.included);
    conf_check(text, "line 14" NO_EFFECT);
    snprintf(text, sizeof(text), HEAD US ".include %s\n[us]\nservice = web\n", conf_place.included);
    conf_check(text, NULL);
    conf_write(conf_place.included, "log_level = info\n");
    snprintf(text, sizeof(text), HEAD US ".include %s\nservice = web\n", conf_place.included);
    conf_check(text, NULL);
    unlink(conf_place.included);
}

/* Check a file that includes this text, by its path in place of INCLUDED. */
static void check_included(const char *included, const char *rest, const char *words)
{
    const char *place = strstr(rest, "INCLUDED");
    char text[2048];

    assert_non_null(place);
    conf_write(conf_place.included, included);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(place - rest), rest, conf_place.included,
             place + sizeof("INCLUDED") - 1);
    conf_check(text, words);
    unlink(conf_place.included);
}

#define LOST "# in C:\\\nservice = web\n"
#define LOST_WITHIN "included.cnf: line 2" NO_EFFECT

static void test_a_row_that_an_included_file_loses(void **state)
{
    check_included("[us]\n" LOST, HEAD US ".include INCLUDED\n", "included.cnf: line 3" NO_EFFECT);
    check_included("[us]\n" LOST "[other]\n", HEAD US "[more]\n.include INCLUDED\n",
                   "included.cnf: line 3" NO_EFFECT);
    check_included("# x \\\nus::service = web\n", HEAD US "[more]\n.include INCLUDED\n",
                   LOST_WITHIN);
    check_included("[other]\n" LOST, HEAD US ".include INCLUDED\n", NULL);
    /* it goes on with the section around, and not with a line */
    check_included(LOST, HEAD US ".include INCLUDED\n", LOST_WITHIN);
    check_included(LOST, HEAD US "[other]\n.include INCLUDED\n", NULL);
    check_included("service = web", HEAD US ".include INCLUDED\ninbound = require\n", NULL);
    check_included("log_level = info \\", HEAD US ".include INCLUDED\nservice = web\n", NULL);
    check_included("service = web\n", HEAD US ".include INCLUDED\n# x \\\nservice = web\n",
                   "line 15" NO_EFFECT);
    check_included("[us]\n", HEAD "[other]\n.include INCLUDED\n" LOST US, NULL);
    /* ways to write the path */
    check_included(LOST, HEAD US ".include = INCLUDED\n", LOST_WITHIN);
    check_included(LOST, HEAD US "\t.include=INCLUDED # more\n", LOST_WITHIN);
    check_included(LOST, HEAD US ".include  INCLUDED \t\n", LOST_WITHIN);
    check_included(LOST, "here = INCLUDED\n" HEAD US ".include /$default::here\n", NULL);
    conf_check(HEAD US ".include /dev/null\nservice = web\n", NULL);
}

/* A relative path leads to a file in a folder that OpenSSL alone knows. Its rows count, and its lines are not looked at. */
static void test_an_included_file_of_another_folder(void **state)
{
    char text[1024];

    conf_write(conf_place.included, LOST);
    snprintf(text, sizeof(text), HEAD US ".pragma includedir:/\n.include %s\n",
             conf_place.included + 1);
    conf_check(text, NULL);
    conf_write(conf_place.included, "no_setting = 1\n");
    conf_check(text, "[us] no_setting: there is no such setting");
    unlink(conf_place.included);
}

/* ---- folders ---- */

static char folder[128], file_name[256];

static const char *in_folder(const char *name)
{
    snprintf(file_name, sizeof(file_name), "%s/%s", folder, name);
    return file_name;
}

static void check_folder(const char *name, const char *words)
{
    char text[1024];

    conf_write(in_folder(name), LOST);
    snprintf(text, sizeof(text), HEAD US ".include %s\n", folder);
    conf_check(text, words);
    unlink(in_folder(name));
}

static int make_folder(void **state)
{
    snprintf(folder, sizeof(folder), "%s/more.d", conf_place.folder);
    return mkdir(folder, 0700);
}

static int remove_folder(void **state)
{
    return rmdir(folder);
}

static void test_a_row_that_a_file_of_a_folder_loses(void **state)
{
    check_folder("one.cnf", "more.d/one.cnf: line 2" NO_EFFECT);
    check_folder("one.CNF", "more.d/one.CNF: line 2" NO_EFFECT);
    check_folder("one.Conf", "more.d/one.Conf: line 2" NO_EFFECT);
    check_folder("one.txt", NULL);
    check_folder("one.cnf.old", NULL);
    check_folder(".cnf", NULL);
}

/* OpenSSL passes over it without an error. Root can read each folder, and so another user looks. */
static void test_a_folder_that_cannot_be_read(void **state)
{
    char text[1024], words[PROV_PLACE_MAX];
    consul_error err = {0};
    int ok;

    snprintf(text, sizeof(text), HEAD US ".include %s\n", folder);
    conf_write(conf_place.path, text);
    assert_int_equal(chmod(conf_place.folder, 0755), 0);
    assert_int_equal(chmod(folder, 0), 0);
    if (geteuid() == 0)
        assert_int_equal(seteuid(65534), 0);
    ok = prov_config_check("consul", NULL, words, &err);
    assert_int_equal(seteuid(getuid()), 0);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_false(ok);
    assert_contains(err.text, "OpenSSL passes over a folder that it cannot read");
    assert_contains(err.text, "more.d: Permission denied; make it readable");
    ERR_clear_error();
}

/* ---- memory ---- */

static _Thread_local long left = -1; /* allocations up to one that fails, or -1 */

static void *failing_malloc(size_t size, const char *file, int line)
{
    return left >= 0 && left-- == 0 ? NULL : malloc(size);
}

static void *failing_realloc(void *block, size_t size, const char *file, int line)
{
    return left >= 0 && left-- == 0 ? NULL : realloc(block, size);
}

static void failing_free(void *block, const char *file, int line)
{
    free(block);
}

/* No allocation that fails makes wrong settings good. */
static void test_without_memory(void **state)
{
    char words[PROV_PLACE_MAX];
    bool has_failed = true;
    consul_error err;
    long failing;

    conf_write(conf_place.path, HEAD US "service = web\nservice = api\n");
    for (failing = 0; has_failed; failing++) {
        memset(&err, 0, sizeof(err));
        left = failing;
        if (prov_config_check("consul", NULL, words, &err))
            fail_msg("without allocation %ld wrong settings are good", failing);
        has_failed = left < 0;
        left = -1;
        ERR_clear_error();
    }
    assert_contains(err.text, "[us] service: it stands there twice");
    assert_true(failing > 30);
}

/* A file that cannot be opened for lack of descriptors is not checked, and so it is not good. */
static void test_without_descriptors(void **state)
{
    struct rlimit usual, none = {0};
    char words[PROV_PLACE_MAX];
    consul_error err = {0};
    int ok;

    conf_write(conf_place.path, HEAD US "service = web\nservice = api\n");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none.rlim_max = usual.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    ok = prov_config_check("consul", NULL, words, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    assert_false(ok);
    assert_contains(err.text, "openssl.cnf cannot be checked");
    ERR_clear_error();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_that_are_lost),
        cmocka_unit_test(test_a_row_in_the_value_of_activate),
        cmocka_unit_test(test_a_nul_byte),
        cmocka_unit_test(test_a_section_of_an_included_file),
        cmocka_unit_test(test_a_row_that_an_included_file_loses),
        cmocka_unit_test(test_an_included_file_of_another_folder),
        cmocka_unit_test_setup_teardown(test_a_row_that_a_file_of_a_folder_loses, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_a_folder_that_cannot_be_read, make_folder,
                                        remove_folder),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_without_descriptors),
    };

    if (!CRYPTO_set_mem_functions(failing_malloc, failing_realloc, failing_free))
        return 1; /* libcrypto was in use already */
    /* The process's own configuration has no part here. */
    setenv("OPENSSL_CONF", "/dev/null", 1);
    OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
    return cmocka_run_group_tests(tests, conf_set_up, conf_tear_down);
}
