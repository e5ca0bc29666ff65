/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settings.h"

#include "base/contradiction.h"
#include "base/name.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#define DURATION_MAX_MS ((int64_t)10 * 60 * 1000)

#define AT(member) offsetof(consul_settings, member)

const consul_option consul_options[] = {
    {"address", "CONSUL_HTTP_ADDR", "127.0.0.1:8500", CONSUL_OPTION_TEXT, AT(address), false,
     "The local Consul agent: host:port, http://..., https://... or unix:///path"},
    {"tls", "CONSUL_HTTP_SSL", "no", CONSUL_OPTION_BOOL, AT(tls), false,
     "Speak HTTPS, also where the address says http://"},
    {"tls_verify", "CONSUL_HTTP_SSL_VERIFY", "yes", CONSUL_OPTION_BOOL, AT(tls_verify), false,
     "Verify the agent's HTTPS certificate"},
    {"tls_server_name", "CONSUL_TLS_SERVER_NAME", NULL, CONSUL_OPTION_TEXT, AT(tls_server_name),
     false, "The name to expect in the agent's HTTPS certificate"},
    {"ca_file", "CONSUL_CACERT", NULL, CONSUL_OPTION_TEXT, AT(ca_file), false,
     "PEM file of CAs that may issue the agent's HTTPS certificate"},
    {"ca_path", "CONSUL_CAPATH", NULL, CONSUL_OPTION_TEXT, AT(ca_path), false,
     "Hashed directory of such CAs"},
    {"client_cert", "CONSUL_CLIENT_CERT", NULL, CONSUL_OPTION_TEXT, AT(client_cert), true,
     "PEM file of the certificate to present to the agent; needs client_key"},
    {"client_key", "CONSUL_CLIENT_KEY", NULL, CONSUL_OPTION_TEXT, AT(client_key), true,
     "PEM file of its private key; needs client_cert"},
    {"agent_user", NULL, NULL, CONSUL_OPTION_TEXT, AT(agent_user), false,
     "The user that runs the agent, by name or number: only its programs get a token"},
    {"token", "CONSUL_HTTP_TOKEN", NULL, CONSUL_OPTION_SECRET, AT(token), true, "The ACL token"},
    {"token_file", "CONSUL_HTTP_TOKEN_FILE", NULL, CONSUL_OPTION_TEXT, AT(token_file), true,
     "A file with the ACL token, read at each request; beats token when it is not empty"},
    {"login_method", NULL, NULL, CONSUL_OPTION_TEXT, AT(login_method), false,
     "The auth method of Consul that gives the ACL token for a JWT; needs login_bearer_file"},
    {"login_bearer_file", NULL, NULL, CONSUL_OPTION_TEXT, AT(login_bearer_file), false,
     "A file with that JWT, read at each login"},
    {"http_auth", "CONSUL_HTTP_AUTH", NULL, CONSUL_OPTION_SECRET, AT(http_auth), true,
     "user or user:password for HTTP basic authentication"},
    {"service", NULL, NULL, CONSUL_OPTION_NAME, AT(service), false,
     "The service that this program is: its TLS is governed, and consul:leaf is its leaf"},
    {"inbound", NULL, "require", CONSUL_OPTION_INBOUND, AT(inbound), false,
     "TLS connections that come in: require Connect, or off to leave them alone"},
    {"outbound", NULL, "auto", CONSUL_OPTION_OUTBOUND, AT(outbound), false,
     "TLS connections that go out: auto, require Connect, or off to leave them alone"},
    {"domain", NULL, "consul", CONSUL_OPTION_HOSTS, AT(domain), false,
     "Consul's DNS domains; *.service, *.connect and *.virtual in them always require Connect"},
    {"upstreams", NULL, NULL, CONSUL_OPTION_TABLE, 0, false,
     "A section that maps other host names to services, as in db.internal = db"},
    {"namespace", "CONSUL_NAMESPACE", NULL, CONSUL_OPTION_NAME, AT(ns), true,
     "Namespace for URIs that name none (Consul Enterprise)"},
    {"partition", "CONSUL_PARTITION", NULL, CONSUL_OPTION_NAME, AT(partition), true,
     "Admin partition for URIs that name none (Consul Enterprise)"},
    {"datacenter", NULL, NULL, CONSUL_OPTION_NAME, AT(datacenter), false,
     "Datacenter for URIs that name none; the agent's own by default"},
    {"connect_timeout", NULL, "1s", CONSUL_OPTION_DURATION, AT(connect_timeout), false,
     "How long connecting to the agent may take"},
    {"request_timeout", NULL, "5s", CONSUL_OPTION_DURATION, AT(request_timeout), false,
     "How long one request to the agent may take"},
    {"authorize_timeout", NULL, "1s", CONSUL_OPTION_DURATION, AT(authorize_timeout), false,
     "How long one handshake may wait for the agent"},
    {"watch_wait", NULL, "10s", CONSUL_OPTION_DURATION, AT(watch_wait), false,
     "How long a query that waits for changes may be held open; shorter where something cuts it"},
    {"on_agent_loss", NULL, "refuse", CONSUL_OPTION_LOSS, AT(on_agent_loss), false,
     "While the agent is lost: refuse clients, or last-known to admit those of the last hour"},
    {"log", NULL, "syslog", CONSUL_OPTION_LOG, AT(log), false,
     "The sink of the log: syslog, stderr, the absolute path of a file, or off"},
    {"log_level", NULL, "info", CONSUL_OPTION_LEVEL, AT(log_level), false,
     "The lightest lines that are written: error, warning, info or debug"},
    {"log_format", NULL, "text", CONSUL_OPTION_FORMAT, AT(log_format), false,
     "The form of a line: text, or json for an object on each line"},
    {"audit", NULL, "no", CONSUL_OPTION_BOOL, AT(audit), false,
     "Write a line for each admitted peer, too"},
    {"crypto", NULL, "auto", CONSUL_OPTION_CRYPTO, AT(crypto), false,
     "OpenSSL's provider to bring along: auto (default, or none where fips is active), fips, or off"},
    {NULL, NULL, NULL, CONSUL_OPTION_TEXT, 0, false, NULL},
};

static char **text_of(consul_settings *settings, const consul_option *option)
{
    return (char **)((char *)settings + option->offset);
}

static bool is_text(const consul_option *option)
{
    return option->type == CONSUL_OPTION_TEXT || option->type == CONSUL_OPTION_SECRET
           || option->type == CONSUL_OPTION_NAME || option->type == CONSUL_OPTION_HOSTS
           || option->type == CONSUL_OPTION_LOG || option->type == CONSUL_OPTION_CRYPTO;
}

/*
 * Copy a list of host names, without the spaces around its commas. `copy` has place for it. Return
 * false for another text.
 */
static bool copy_hosts(const char *list, char *copy)
{
    const char *host;
    size_t len;

    for (;; list += len + 1, *copy++ = ',') {
        list += strspn(list, " ");
        len = strcspn(list, ",");
        host = copy;
        memcpy(copy, list, len);
        for (copy += len; copy > host && copy[-1] == ' '; copy--)
            ;
        *copy = '\0';
        if (!consul_host_is_valid(host))
            return false;
        if (list[len] == '\0')
            return true;
    }
}

static int parse_text(const consul_option *option, const char *value, char **result,
                      consul_error *err)
{
    const char *p;

    if (option->type == CONSUL_OPTION_CRYPTO && strcmp(value, "auto") != 0
        && strcmp(value, "fips") != 0 && strcmp(value, "off") != 0)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "%s = \"%s\": allowed are auto, fips and off", option->name, value);
    if (option->type == CONSUL_OPTION_NAME
        && !consul_name_check(option->name, value, CONSUL_R_SETTING_INVALID, err))
        return 0;
    if (option->type == CONSUL_OPTION_LOG && *value != '/' && strcmp(value, "off") != 0
        && strcmp(value, "stderr") != 0 && strcmp(value, "syslog") != 0)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "%s = \"%s\": allowed are off, stderr, syslog and an absolute path",
                                option->name, value);
    for (p = value; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                    "%s: the value has a control character in it; take it out",
                                    option->name);
    }
    *result = OPENSSL_strdup(value);
    if (*result != NULL && option->type == CONSUL_OPTION_HOSTS && !copy_hosts(value, *result))
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "%s = \"%s\": allowed are names of domains in lower case, "
                                "without a dot around them, as in consul, mesh.example",
                                option->name, value);
    return *result != NULL || consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "%s", option->name);
}

static int parse_bool(const consul_option *option, const char *value, bool *result,
                      consul_error *err)
{
    static const char *const words[][2] = {
        {"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}, {"f", "t"},
    };
    size_t i, truth;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        for (truth = 0; truth < 2; truth++) {
            if (strcasecmp(value, words[i][truth]) == 0) {
                *result = truth == 1;
                return 1;
            }
        }
    }
    return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                            "%s = \"%s\": allowed are yes, true, on, 1 and no, false, off, 0",
                            option->name, value);
}

/* The words of a setting, each in the place of its value; NULL for a value without a word. */
#define WORDS_MAX 4

static const struct {
    enum consul_option_type type;
    const char *words[WORDS_MAX];
} worded[] = {
    {CONSUL_OPTION_INBOUND, {[CONSUL_DEMAND_OFF] = "off", [CONSUL_DEMAND_REQUIRE] = "require"}},
    {CONSUL_OPTION_OUTBOUND,
     {[CONSUL_DEMAND_OFF] = "off",
      [CONSUL_DEMAND_AUTO] = "auto",
      [CONSUL_DEMAND_REQUIRE] = "require"}},
    {CONSUL_OPTION_LOSS,
     {[CONSUL_LOSS_REFUSE] = "refuse", [CONSUL_LOSS_LAST_KNOWN] = "last-known"}},
    {CONSUL_OPTION_LEVEL,
     {[CONSUL_LOG_ERROR] = "error",
      [CONSUL_LOG_WARNING] = "warning",
      [CONSUL_LOG_INFO] = "info",
      [CONSUL_LOG_DEBUG] = "debug"}},
    {CONSUL_OPTION_FORMAT, {[CONSUL_LOG_TEXT] = "text", [CONSUL_LOG_JSON] = "json"}},
};

/* Return the words of a type of setting, or NULL for a type that has none. */
static const char *const *words_of(enum consul_option_type type)
{
    size_t i;

    for (i = 0; i < sizeof(worded) / sizeof(worded[0]); i++) {
        if (worded[i].type == type)
            return worded[i].words;
    }
    return NULL;
}

static int parse_word(const consul_option *option, const char *const *words, const char *value,
                      unsigned *result, consul_error *err)
{
    char allowed[128] = "";
    int last = WORDS_MAX - 1;
    unsigned i;

    while (words[last] == NULL)
        last--;
    for (i = 0; i < WORDS_MAX; i++) {
        if (words[i] == NULL)
            continue;
        if (strcmp(value, words[i]) == 0) {
            *result = i;
            return 1;
        }
        if (*allowed != '\0')
            OPENSSL_strlcat(allowed, i == (unsigned)last ? " and " : ", ", sizeof(allowed));
        OPENSSL_strlcat(allowed, words[i], sizeof(allowed));
    }
    return consul_error_set(err, CONSUL_R_SETTING_INVALID, "%s = \"%s\": allowed are %s",
                            option->name, value, allowed);
}

static int parse_duration(const consul_option *option, const char *value, int64_t *result,
                          consul_error *err)
{
    static const struct {
        const char *name;
        int64_t milliseconds;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}};
    char *unit;
    long number;
    size_t i;

    if (*value >= '0' && *value <= '9') {
        number = strtol(value, &unit, 10); /* LONG_MAX after an overflow, refused below */
        for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            if (strcmp(unit, units[i].name) == 0 && number > 0
                && number <= DURATION_MAX_MS / units[i].milliseconds) {
                *result = number * units[i].milliseconds;
                return 1;
            }
        }
    }
    return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                            "%s = \"%s\": allowed are 1ms to 10m, as in 500ms, 2s or 1m",
                            option->name, value);
}

static int parse_value(consul_settings *settings, const consul_option *option, const char *value,
                       consul_error *err)
{
    char *member = (char *)settings + option->offset;
    const char *const *words = words_of(option->type);

    if (is_text(option))
        return parse_text(option, value, text_of(settings, option), err);
    if (option->type == CONSUL_OPTION_BOOL)
        return parse_bool(option, value, (bool *)(void *)member, err);
    if (option->type == CONSUL_OPTION_TABLE)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "%s = \"%s\": there is no section of that name; add it to the file",
                                option->name, value);
    if (words != NULL)
        return parse_word(option, words, value, (unsigned *)(void *)member, err);
    return parse_duration(option, value, (int64_t *)(void *)member, err);
}

/*
 * Read a configured value. An empty value is an error: mostly a variable was not set. In some rows
 * it is allowed, so that it can overrule the environment.
 */
static int read_configured(consul_settings *settings, const consul_option *option,
                           const char *value, consul_configured *said, consul_error *err)
{
    if (*value == '\0' && !option->may_be_empty)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "%s = \"\": it has no value; set one, or take the line out",
                                option->name);
    if (*value != '\0' && !parse_value(settings, option, value, err))
        return 0;
    consul_note_configured(said, settings, option);
    return 1;
}

static int read_default(consul_settings *settings, const consul_option *option, consul_error *err)
{
    const char *env = option->env == NULL ? NULL : secure_getenv(option->env);

    if (env == NULL || *env == '\0')
        return option->default_value == NULL
               || parse_value(settings, option, option->default_value, err);
    return parse_value(settings, option, env, err)
           || consul_error_prefix(err, "environment variable %s: ", option->env);
}

consul_settings *consul_settings_new(consul_settings_lookup_fn *lookup, void *arg,
                                     consul_error *err)
{
    consul_settings *settings = OPENSSL_zalloc(sizeof(*settings));
    consul_configured said = {0};
    const consul_option *option;

    if (settings == NULL) {
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "reading the settings");
        return NULL;
    }
    for (option = consul_options; option->name != NULL; option++) {
        const char *value = lookup == NULL ? NULL : lookup(option->name, arg);

        if (!(value == NULL ? read_default(settings, option, err)
                            : read_configured(settings, option, value, &said, err)))
            goto err;
    }
    if (!consul_find_contradiction(settings, &said, err))
        goto err;
    return settings;

err:
    consul_settings_free(settings);
    return NULL;
}

void consul_settings_free(consul_settings *settings)
{
    const consul_option *option;

    if (settings == NULL)
        return;
    for (option = consul_options; option->name != NULL; option++) {
        if (is_text(option)) {
            char *text = *text_of(settings, option);

            OPENSSL_clear_free(text, text == NULL ? 0 : strlen(text));
        }
    }
    OPENSSL_free(settings);
}
