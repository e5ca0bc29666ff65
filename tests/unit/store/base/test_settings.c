/* SPDX-License-Identifier: Apache-2.0 */
/* The option table: defaults, environment, configuration, and refused values. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/name.h"
#include "base/settings.h"

/* Look a name up in a configuration: name, value pairs that end with NULL. */
static const char *lookup(const char *name, void *arg)
{
    const char *const *pairs = arg;

    for (; pairs[0] != NULL; pairs += 2) {
        if (strcmp(pairs[0], name) == 0)
            return pairs[1];
    }
    return NULL;
}

#define CONFIG(...)       \
    (const char *[])      \
    {                     \
        __VA_ARGS__, NULL \
    }

static consul_settings *read_config(const char **pairs, consul_error *err)
{
    return consul_settings_new(pairs == NULL ? NULL : lookup, pairs, err);
}

static void refuse(const char **pairs, const char *message)
{
    consul_error err = {0};

    assert_null(read_config(pairs, &err));
    assert_error(&err, CONSUL_R_SETTING_INVALID, message);
}

/* Clear each variable that a setting could come from, before each test. */
static int clear_environment(void **state)
{
    const consul_option *option;

    for (option = consul_options; option->name != NULL; option++) {
        if (option->env != NULL)
            unsetenv(option->env);
    }
    return 0;
}

static void test_defaults(void **state)
{
    consul_error err = {0};
    consul_settings *settings = read_config(NULL, &err);

    assert_non_null(settings);
    assert_int_equal(err.reason, 0);
    assert_string_equal(settings->address, "127.0.0.1:8500");
    assert_false(settings->tls);
    assert_true(settings->tls_verify);
    assert_null(settings->token);
    assert_null(settings->token_file);
    assert_null(settings->http_auth);
    assert_null(settings->ca_file);
    assert_null(settings->ca_path);
    assert_null(settings->client_cert);
    assert_null(settings->client_key);
    assert_null(settings->tls_server_name);
    assert_null(settings->service);
    assert_int_equal(settings->inbound, CONSUL_DEMAND_REQUIRE);
    assert_int_equal(settings->outbound, CONSUL_DEMAND_AUTO);
    assert_string_equal(settings->domain, "consul");
    assert_null(settings->ns);
    assert_null(settings->partition);
    assert_null(settings->datacenter);
    assert_int_equal(settings->connect_timeout, 1000);
    assert_int_equal(settings->request_timeout, 5000);
    assert_int_equal(settings->authorize_timeout, 1000);
    consul_settings_free(settings);
}

/* Each setting lands in its own place: one row of the table after the other, all values distinct. */
static void test_every_option_has_its_place(void **state)
{
    const char *pairs[] = {"address",
                           "a:1",
                           "tls",
                           "yes",
                           "tls_verify",
                           "no",
                           "tls_server_name",
                           "b",
                           "ca_file",
                           "c",
                           "ca_path",
                           "d",
                           "client_cert",
                           "e",
                           "client_key",
                           "f",
                           "inbound",
                           "off",
                           "outbound",
                           "require",
                           "domain",
                           "mesh.example",
                           "token",
                           "g",
                           "token_file",
                           "h",
                           "http_auth",
                           "i",
                           "service",
                           "j",
                           "namespace",
                           "k",
                           "partition",
                           "l",
                           "datacenter",
                           "m",
                           "connect_timeout",
                           "1ms",
                           "request_timeout",
                           "2s",
                           "authorize_timeout",
                           "3m",
                           NULL};
    consul_settings *settings = read_config(pairs, NULL);

    assert_non_null(settings);
    assert_string_equal(settings->address, "a:1");
    assert_true(settings->tls);
    assert_false(settings->tls_verify);
    assert_string_equal(settings->tls_server_name, "b");
    assert_string_equal(settings->ca_file, "c");
    assert_string_equal(settings->ca_path, "d");
    assert_string_equal(settings->client_cert, "e");
    assert_string_equal(settings->client_key, "f");
    assert_string_equal(settings->token, "g");
    assert_string_equal(settings->token_file, "h");
    assert_string_equal(settings->http_auth, "i");
    assert_string_equal(settings->service, "j");
    assert_int_equal(settings->inbound, CONSUL_DEMAND_OFF);
    assert_int_equal(settings->outbound, CONSUL_DEMAND_REQUIRE);
    assert_string_equal(settings->domain, "mesh.example");
    assert_string_equal(settings->ns, "k");
    assert_string_equal(settings->partition, "l");
    assert_string_equal(settings->datacenter, "m");
    assert_int_equal(settings->connect_timeout, 1);
    assert_int_equal(settings->request_timeout, 2000);
    assert_int_equal(settings->authorize_timeout, 180000);
    consul_settings_free(settings);
}

/* The table itself: complete rows, no name and no variable twice. */
static void test_table(void **state)
{
    const consul_option *option, *other;

    for (option = consul_options; option->name != NULL; option++) {
        assert_non_null(option->description);
        assert_between(option->offset, 0, sizeof(consul_settings) - 1);
        for (other = option + 1; other->name != NULL; other++) {
            assert_string_not_equal(option->name, other->name);
            /* a table has no place of its own */
            if (option->type != CONSUL_OPTION_TABLE && other->type != CONSUL_OPTION_TABLE)
                assert_int_not_equal(option->offset, other->offset);
            if (option->env != NULL && other->env != NULL)
                assert_string_not_equal(option->env, other->env);
        }
    }
}

static void test_environment(void **state)
{
    static const struct {
        const char *env, *value;
    } variables[] = {
        {"CONSUL_HTTP_ADDR", "https://agent:8501"},
        {"CONSUL_HTTP_TOKEN", "t0"},
        {"CONSUL_HTTP_TOKEN_FILE", "/tf"},
        {"CONSUL_HTTP_AUTH", "u:p"},
        {"CONSUL_HTTP_SSL", "true"},
        {"CONSUL_HTTP_SSL_VERIFY", "false"},
        {"CONSUL_CACERT", "/ca"},
        {"CONSUL_CAPATH", "/cas"},
        {"CONSUL_CLIENT_CERT", "/cert"},
        {"CONSUL_CLIENT_KEY", "/key"},
        {"CONSUL_TLS_SERVER_NAME", "server.dc1"},
        {"CONSUL_NAMESPACE", "team"},
        {"CONSUL_PARTITION", "part"},
    };
    consul_settings *settings;
    size_t i;

    for (i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        setenv(variables[i].env, variables[i].value, 1);
    settings = read_config(NULL, NULL);
    assert_non_null(settings);
    /* The environment is read once: later changes do not matter. */
    clear_environment(state);
    assert_string_equal(settings->address, "https://agent:8501");
    assert_string_equal(settings->token, "t0");
    assert_string_equal(settings->token_file, "/tf");
    assert_string_equal(settings->http_auth, "u:p");
    assert_true(settings->tls);
    assert_false(settings->tls_verify);
    assert_string_equal(settings->ca_file, "/ca");
    assert_string_equal(settings->ca_path, "/cas");
    assert_string_equal(settings->client_cert, "/cert");
    assert_string_equal(settings->client_key, "/key");
    assert_string_equal(settings->tls_server_name, "server.dc1");
    assert_string_equal(settings->ns, "team");
    assert_string_equal(settings->partition, "part");
    consul_settings_free(settings);
}

/* Configuration beats the environment, also by saying nothing. */
static void test_configuration_beats_environment(void **state)
{
    consul_settings *settings;

    setenv("CONSUL_HTTP_ADDR", "from-env:1", 1);
    setenv("CONSUL_NAMESPACE", "from-env", 1);
    setenv("CONSUL_HTTP_SSL", "nonsense", 1); /* not even looked at */
    settings = read_config(CONFIG("address", "from-config:2", "namespace", "", "tls", "off"), NULL);
    assert_non_null(settings);
    assert_string_equal(settings->address, "from-config:2");
    assert_null(settings->ns);
    assert_false(settings->tls);
    consul_settings_free(settings);
}

/* The environment neither adds a CA to the configured ones, nor does away with them. */
static void test_configured_cas(void **state)
{
    consul_settings *settings;

    setenv("CONSUL_CACERT", "/ef", 1);
    setenv("CONSUL_CAPATH", "/ep", 1);
    setenv("CONSUL_HTTP_SSL_VERIFY", "false", 1);
    settings = read_config(CONFIG("ca_file", "/cf", "tls", "on"), NULL);
    assert_non_null(settings);
    assert_string_equal(settings->ca_file, "/cf");
    assert_null(settings->ca_path);
    assert_true(settings->tls_verify);
    consul_settings_free(settings);
    settings = read_config(CONFIG("ca_path", "/cp", "tls", "on"), NULL);
    assert_non_null(settings);
    assert_null(settings->ca_file);
    assert_string_equal(settings->ca_path, "/cp");
    assert_true(settings->tls_verify);
    consul_settings_free(settings);
    settings = read_config(CONFIG("ca_file", "/cf", "tls", "on", "tls_verify", "no"), NULL);
    assert_non_null(settings);
    assert_false(settings->tls_verify);
    consul_settings_free(settings);
    settings = read_config(CONFIG("tls", "on"), NULL);
    assert_non_null(settings);
    assert_string_equal(settings->ca_file, "/ef");
    assert_string_equal(settings->ca_path, "/ep");
    assert_false(settings->tls_verify);
    consul_settings_free(settings);
}

static void test_empty_environment_is_none(void **state)
{
    consul_settings *settings;

    setenv("CONSUL_HTTP_ADDR", "", 1);
    setenv("CONSUL_HTTP_SSL", "", 1);
    setenv("CONSUL_HTTP_TOKEN", "", 1);
    settings = read_config(NULL, NULL);
    assert_non_null(settings);
    assert_string_equal(settings->address, "127.0.0.1:8500");
    assert_false(settings->tls);
    assert_null(settings->token);
    consul_settings_free(settings);
}

static bool is_text(const char *text, const char *expected)
{
    return text == NULL || expected == NULL ? text == expected : strcmp(text, expected) == 0;
}

/* The source of token and of token_file decides which of them is left. */
static void test_token_precedence(void **state)
{
    static const struct {
        const char *env_token, *env_file, *config_token, *config_file;
        const char *token, *file;
    } rows[] = {
        {NULL, NULL, NULL, NULL, NULL, NULL},
        {"et", NULL, NULL, NULL, "et", NULL},
        {NULL, "ef", NULL, NULL, NULL, "ef"},
        {"et", "ef", NULL, NULL, "et", "ef"}, /* the file beats the token at each request */
        {NULL, NULL, "ct", NULL, "ct", NULL},
        {"et", NULL, "ct", NULL, "ct", NULL},
        {NULL, "ef", "ct", NULL, "ct", NULL}, /* a configured token beats the environment's file */
        {"et", "ef", "ct", NULL, "ct", NULL},
        {NULL, NULL, "ct", "cf", "ct", "cf"},
        {NULL, "ef", "ct", "cf", "ct", "cf"},
        {"et", "ef", NULL, "cf", "et", "cf"},
        {NULL, "ef", "", NULL, NULL, NULL}, /* no token, it says */
        {"et", "ef", NULL, "", "et", NULL},
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *pairs[5] = {NULL}, **end = pairs;
        consul_settings *settings;

        clear_environment(state);
        if (rows[i].env_token != NULL)
            setenv("CONSUL_HTTP_TOKEN", rows[i].env_token, 1);
        if (rows[i].env_file != NULL)
            setenv("CONSUL_HTTP_TOKEN_FILE", rows[i].env_file, 1);
        if (rows[i].config_token != NULL) {
            *end++ = "token";
            *end++ = rows[i].config_token;
        }
        if (rows[i].config_file != NULL) {
            *end++ = "token_file";
            *end++ = rows[i].config_file;
        }
        settings = read_config(pairs, NULL);
        assert_non_null(settings);
        if (!is_text(settings->token, rows[i].token)
            || !is_text(settings->token_file, rows[i].file))
            fail_msg("row %zu: token %s, token_file %s", i,
                     settings->token == NULL ? "none" : settings->token,
                     settings->token_file == NULL ? "none" : settings->token_file);
        consul_settings_free(settings);
    }
}

static void test_bool(void **state)
{
    static const char *const truths[] = {"yes", "true", "on", "1", "YES", "True", "oN", "t"};
    static const char *const untruths[] = {"no", "false", "off", "0", "NO", "False", "f"};
    static const char *const others[] = {"2",    "-1",      "yes ",  " yes", "y",   "none",
                                         "null", "disable", "yesno", "01",   "nein"};
    size_t i;

    for (i = 0; i < sizeof(truths) / sizeof(truths[0]); i++) {
        consul_settings *settings = read_config(CONFIG("tls", truths[i]), NULL);

        assert_non_null(settings);
        assert_true(settings->tls);
        consul_settings_free(settings);
    }
    for (i = 0; i < sizeof(untruths) / sizeof(untruths[0]); i++) {
        consul_settings *settings = read_config(CONFIG("tls_verify", untruths[i]), NULL);

        assert_non_null(settings);
        assert_false(settings->tls_verify);
        consul_settings_free(settings);
    }
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        char shown[64];

        snprintf(shown, sizeof(shown), "tls_verify = \"%s\": allowed are yes", others[i]);
        refuse(CONFIG("tls_verify", others[i]), shown);
    }
}

static void test_duration(void **state)
{
    static const struct {
        const char *text;
        int64_t milliseconds;
    } good[] = {{"1ms", 1},      {"500ms", 500},      {"2s", 2000},         {"1m", 60000},
                {"10m", 600000}, {"600s", 600000},    {"600000ms", 600000}, {"007s", 7000},
                {"1ms", 1},      {"599999ms", 599999}};
    static const char *const bad[] = {"5",
                                      "0s",
                                      "0ms",
                                      "-1s",
                                      "+1s",
                                      "1 s",
                                      "1.5s",
                                      "1h",
                                      "1S",
                                      "1sec",
                                      "s",
                                      " 1s",
                                      "1s ",
                                      "601s",
                                      "11m",
                                      "1e3s",
                                      "0x1s",
                                      "1ms2",
                                      "m",
                                      "600001ms",
                                      "forever",
                                      "infinity",
                                      "9223372036854775807m",
                                      "99999999999999999999s",
                                      "-9223372036854775808ms"};
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        consul_settings *settings = read_config(CONFIG("request_timeout", good[i].text), NULL);

        assert_non_null(settings);
        assert_int_equal(settings->request_timeout, good[i].milliseconds);
        consul_settings_free(settings);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char shown[128];

        snprintf(shown, sizeof(shown), "authorize_timeout = \"%s\": allowed are 1ms to 10m",
                 bad[i]);
        refuse(CONFIG("authorize_timeout", bad[i]), shown);
    }
}

static void test_demands(void **state)
{
    static const struct {
        const char *text;
        enum consul_demand demand;
    } words[] = {{"off", CONSUL_DEMAND_OFF},
                 {"require", CONSUL_DEMAND_REQUIRE},
                 {"auto", CONSUL_DEMAND_AUTO}};
    static const char *const others[] = {"no", "yes", "OFF", "Require", "required", "auto "};
    size_t i;

    for (i = 0; i < 3; i++) {
        consul_settings *settings =
            read_config(CONFIG("service", "web", "outbound", words[i].text), NULL);

        assert_non_null(settings);
        assert_int_equal(settings->outbound, words[i].demand);
        consul_settings_free(settings);
    }
    for (i = 0; i < 2; i++) {
        consul_settings *settings =
            read_config(CONFIG("inbound", words[i].text, "service", "web"), NULL);

        assert_non_null(settings);
        assert_int_equal(settings->inbound, words[i].demand);
        consul_settings_free(settings);
    }
    refuse(CONFIG("inbound", "auto"), "inbound = \"auto\": allowed are off and require");
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        refuse(CONFIG("inbound", others[i]), "allowed are off and require");
        refuse(CONFIG("outbound", others[i]), "allowed are off, auto and require");
    }
}

/* Without a service there are no connections that these settings could mean. */
static void test_demands_without_a_service(void **state)
{
    consul_settings *settings = read_config(CONFIG("inbound", "off", "outbound", "off"), NULL);

    assert_non_null(settings);
    consul_settings_free(settings);
    refuse(CONFIG("inbound", "require"), "inbound is for the connections of a service");
    refuse(CONFIG("outbound", "require"), "outbound is for the connections of a service");
    refuse(CONFIG("outbound", "auto"), "service is not set: set service");
    refuse(CONFIG("inbound", "off", "outbound", "require"), "take outbound out");
}

/* An empty value is most often a mistake, and refused. Seven settings may be empty in the file. */
static void test_empty_values(void **state)
{
    static const char *const may_be_empty[] = {
        "token", "token_file", "http_auth", "client_cert", "client_key", "namespace", "partition"};
    const consul_option *option;
    size_t allowed = 0, i;
    char shown[64];

    for (option = consul_options; option->name != NULL; option++) {
        consul_settings *settings;
        consul_error err = {0};

        for (i = 0; i < 7 && strcmp(may_be_empty[i], option->name) != 0; i++)
            ;
        assert_int_equal(option->may_be_empty, i < 7);
        if (!option->may_be_empty) {
            snprintf(shown, sizeof(shown), "%s = \"\": it has no value", option->name);
            refuse(CONFIG(option->name, ""), shown);
            continue;
        }
        if (option->type != CONSUL_OPTION_TEXT || strncmp(option->name, "client_", 7) != 0)
            setenv(option->env, "from-env", 1);
        settings = read_config(CONFIG(option->name, ""), &err);
        assert_non_null(settings);
        assert_null(*(char **)(void *)((char *)settings + option->offset));
        consul_settings_free(settings);
        unsetenv(option->env);
        allowed++;
    }
    assert_int_equal(allowed, 7);
}

static void test_domain(void **state)
{
    static const char *const bad[] = {".consul", "consul.", "Consul",        "con sul", "a..b",
                                      "*.a",     "a:1",     "http://consul", ".",       ",",
                                      ",a",      "a,",      "a,,b",          "a, .b",   "a b, c",
                                      "a;b",     " "};
    consul_settings *settings;
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuse(CONFIG("domain", bad[i]), "allowed are names of domains");
    settings = read_config(CONFIG("domain", " consul ,alt.example,  c"), NULL);
    assert_non_null(settings);
    assert_string_equal(settings->domain, "consul,alt.example,c");
    consul_settings_free(settings);
}

/* The rows of a table are looked up one by one. Its name alone means a missing section. */
static void test_table_without_section(void **state)
{
    refuse(CONFIG("upstreams", "nowhere"), "upstreams = \"nowhere\": there is no section");
}

static void test_names(void **state)
{
    static const char *const options[] = {"service", "namespace", "partition", "datacenter"};
    char longest[CONSUL_NAME_MAX + 2];
    size_t i;

    memset(longest, 'x', sizeof(longest));
    longest[CONSUL_NAME_MAX + 1] = '\0';
    for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        const char *option = options[i];
        consul_settings *settings = read_config(CONFIG(option, longest + 1), NULL);
        char shown[64];

        assert_non_null(settings);
        consul_settings_free(settings);
        snprintf(shown, sizeof(shown), "%s is longer than 255 bytes", option);
        refuse(CONFIG(option, longest), shown);
        snprintf(shown, sizeof(shown), "%s may not be \"..\"", option);
        refuse(CONFIG(option, ".."), shown);
        refuse(CONFIG(option, "."), " may not be \".\"");
        snprintf(shown, sizeof(shown), "%s has a control character", option);
        refuse(CONFIG(option, "a\nb"), shown);
        refuse(CONFIG(option, "a\177"), shown);
    }
}

/* A header or a log line must not be broken by a value; bytes beyond ASCII are text. */
static void test_text(void **state)
{
    const consul_option *option;
    consul_settings *settings =
        read_config(CONFIG("tls", "on", "ca_file", "/etc/caf\xc3\xa9 1.pem"), NULL);

    assert_non_null(settings);
    assert_string_equal(settings->ca_file, "/etc/caf\xc3\xa9 1.pem");
    consul_settings_free(settings);
    for (option = consul_options; option->name != NULL; option++) {
        if (option->type == CONSUL_OPTION_TEXT || option->type == CONSUL_OPTION_SECRET) {
            refuse(CONFIG(option->name, "hunter2\r\nX-Other: 1"), "has a control character");
            refuse(CONFIG(option->name, "\177"), option->name);
        }
    }
}

static void test_secrets_are_not_shown(void **state)
{
    const consul_option *option;

    for (option = consul_options; option->name != NULL; option++) {
        consul_error err = {0};

        if (option->type != CONSUL_OPTION_SECRET)
            continue;
        assert_null(read_config(CONFIG(option->name, "hunter2\n"), &err));
        assert_contains(err.text, option->name);
        assert_lacks(err.text, "hunter2");
    }
}

static void test_what_must_be_secret(void **state)
{
    const consul_option *option;
    int found = 0;

    for (option = consul_options; option->name != NULL; option++) {
        if (strcmp(option->name, "token") == 0 || strcmp(option->name, "http_auth") == 0) {
            assert_int_equal(option->type, CONSUL_OPTION_SECRET);
            found++;
        }
    }
    assert_int_equal(found, 2);
}

static void test_environment_is_named_in_errors(void **state)
{
    setenv("CONSUL_HTTP_SSL_VERIFY", "maybe", 1);
    refuse(NULL, "environment variable CONSUL_HTTP_SSL_VERIFY: tls_verify = \"maybe\"");
    /* and only there */
    clear_environment(state);
    {
        consul_error err = {0};

        assert_null(read_config(CONFIG("tls_verify", "maybe"), &err));
        assert_lacks(err.text, "environment");
    }
}

static void test_together(void **state)
{
    consul_settings *settings;

    refuse(CONFIG("client_cert", "/c"), "client_cert and client_key");
    refuse(CONFIG("client_key", "/k"), "client_cert and client_key");
    refuse(CONFIG("client_cert", "/c", "client_key", ""), "client_cert and client_key");
    setenv("CONSUL_CLIENT_KEY", "/k", 1);
    refuse(NULL, "client_cert and client_key");
    settings = read_config(CONFIG("client_cert", "/c", "tls", "on"), NULL);
    assert_non_null(settings);
    assert_string_equal(settings->client_key, "/k");
    consul_settings_free(settings);
}

/* A login takes the place of the tokens of the environment. Beside a configured token it is a mistake. */
static void test_login(void **state)
{
    consul_settings *settings;
    char long_name[130];

    setenv("CONSUL_HTTP_TOKEN", "t0", 1);
    setenv("CONSUL_HTTP_TOKEN_FILE", "/tf", 1);
    settings = read_config(CONFIG("login_method", "m-1", "login_bearer_file", "/jwt"), NULL);
    assert_non_null(settings);
    assert_string_equal(settings->login_method, "m-1");
    assert_string_equal(settings->login_bearer_file, "/jwt");
    assert_null(settings->token);
    assert_null(settings->token_file);
    consul_settings_free(settings);
    settings =
        read_config(CONFIG("login_method", "m", "login_bearer_file", "/j", "token", ""), NULL);
    assert_non_null(settings);
    consul_settings_free(settings);
    refuse(CONFIG("login_method", "m"), "login_method and login_bearer_file: one is set without");
    refuse(CONFIG("login_bearer_file", "/j"), "login_method and login_bearer_file: one is set");
    refuse(CONFIG("login_method", "m", "login_bearer_file", "/j", "token", "hunter2"),
           "login_method gives a token, and so does token: take one of them out");
    refuse(CONFIG("login_method", "m", "login_bearer_file", "/j", "token_file", "/t"),
           "login_method gives a token, and so does token_file: take one of them out");
    refuse(CONFIG("login_method", "a\",\"b", "login_bearer_file", "/j"),
           "allowed are letters, digits");
    memset(long_name, 'm', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    refuse(CONFIG("login_method", long_name, "login_bearer_file", "/j"), "128 at most");
}

/* Without HTTPS these settings are in vain: any program could be the agent, and get the token. */
static void test_https_alone(void **state)
{
    static const char *const alone[] = {"ca_file", "ca_path", "tls_server_name"};
    consul_settings *settings;
    char shown[64];
    size_t i;

    for (i = 0; i < 3; i++) {
        snprintf(shown, sizeof(shown), "%s is for an agent that speaks HTTPS", alone[i]);
        refuse(CONFIG(alone[i], "x"), shown);
        refuse(CONFIG(alone[i], "x", "address", "http://agent:8500"), "\"http://agent:8500\"");
        settings = read_config(CONFIG(alone[i], "x", "address", "HTTPS://agent:8501"), NULL);
        assert_non_null(settings);
        consul_settings_free(settings);
        settings = read_config(CONFIG(alone[i], "x", "tls", "yes"), NULL);
        assert_non_null(settings);
        consul_settings_free(settings);
    }
    refuse(CONFIG("client_cert", "/c", "client_key", "/k"), "client_cert is for an agent");
    refuse(CONFIG("ca_file", "x", "address", "user:word@agent"), "(not shown");
    setenv("CONSUL_CACERT", "/c", 1); /* of a host where some programs use HTTPS */
    settings = read_config(NULL, NULL);
    assert_non_null(settings);
    consul_settings_free(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, clear_environment),
        cmocka_unit_test_setup(test_every_option_has_its_place, clear_environment),
        cmocka_unit_test_setup(test_table, clear_environment),
        cmocka_unit_test_setup(test_environment, clear_environment),
        cmocka_unit_test_setup(test_configuration_beats_environment, clear_environment),
        cmocka_unit_test_setup(test_configured_cas, clear_environment),
        cmocka_unit_test_setup(test_empty_environment_is_none, clear_environment),
        cmocka_unit_test_setup(test_token_precedence, clear_environment),
        cmocka_unit_test_setup(test_login, clear_environment),
        cmocka_unit_test_setup(test_bool, clear_environment),
        cmocka_unit_test_setup(test_duration, clear_environment),
        cmocka_unit_test_setup(test_demands, clear_environment),
        cmocka_unit_test_setup(test_demands_without_a_service, clear_environment),
        cmocka_unit_test_setup(test_empty_values, clear_environment),
        cmocka_unit_test_setup(test_domain, clear_environment),
        cmocka_unit_test_setup(test_table_without_section, clear_environment),
        cmocka_unit_test_setup(test_names, clear_environment),
        cmocka_unit_test_setup(test_text, clear_environment),
        cmocka_unit_test_setup(test_secrets_are_not_shown, clear_environment),
        cmocka_unit_test_setup(test_what_must_be_secret, clear_environment),
        cmocka_unit_test_setup(test_environment_is_named_in_errors, clear_environment),
        cmocka_unit_test_setup(test_together, clear_environment),
        cmocka_unit_test_setup(test_https_alone, clear_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
