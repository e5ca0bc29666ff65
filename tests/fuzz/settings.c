/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings, as lines "name=value", and the agent's address in them. Accepted settings are within their bounds, and an
 * error shows no secret.
 */
#include "fuzz.h"

#include "agent/agent.h"
#include "base/name.h"
#include "base/settings.h"

#define ROWS_MAX 64
#define SECRET "hunter2-" /* the beginning of a value that stands in no error by chance */

typedef struct rows {
    char *lines[ROWS_MAX]; /* "name\0value" */
    size_t count;
} rows;

static const char *value_of(const char *name, void *arg)
{
    const rows *all = arg;
    size_t i;

    for (i = 0; i < all->count; i++) {
        if (strcmp(all->lines[i], name) == 0)
            return all->lines[i] + strlen(name) + 1;
    }
    return NULL;
}

/* Split the input in lines. The environment has no part in it. */
static void read_rows(fuzz_input *input, rows *all)
{
    const consul_option *option;

    for (option = consul_options; option->name != NULL; option++) {
        if (option->env != NULL)
            unsetenv(option->env);
    }
    while (all->count < ROWS_MAX && input->len > 0) {
        char *line = fuzz_text(input, '\n'), *equals = strchr(line, '=');

        if (equals == NULL) {
            free(line);
            continue;
        }
        *equals = '\0';
        all->lines[all->count++] = line;
    }
}

/* Return true where no other line has that beginning of a secret. */
static bool is_nowhere_else(const rows *all, const char *secret)
{
    size_t i;

    for (i = 0; i < all->count; i++) {
        const char *value = all->lines[i] + strlen(all->lines[i]) + 1;

        if (strstr(all->lines[i], SECRET) != NULL
            || (value != secret && strstr(value, SECRET) != NULL))
            return false;
    }
    return true;
}

static void require_no_secret(rows *all, const consul_error *err)
{
    const consul_option *option;

    for (option = consul_options; option->name != NULL; option++) {
        const char *secret =
            option->type == CONSUL_OPTION_SECRET ? value_of(option->name, all) : NULL;

        if (secret == NULL || strncmp(secret, SECRET, strlen(SECRET)) != 0
            || !is_nowhere_else(all, secret))
            continue;
        REQUIRE(strstr(err->text, SECRET) == NULL);
    }
}

static void require_duration(int64_t duration)
{
    REQUIRE(duration >= 1 && duration <= 600000);
}

static void require_bounds(const consul_settings *s)
{
    REQUIRE(s->address != NULL && *s->address != '\0');
    REQUIRE((s->client_cert == NULL) == (s->client_key == NULL));
    REQUIRE(s->service == NULL || consul_name_check("", s->service, CONSUL_R_INTERNAL, NULL));
    REQUIRE(s->ns == NULL || consul_name_check("", s->ns, CONSUL_R_INTERNAL, NULL));
    REQUIRE(s->partition == NULL || consul_name_check("", s->partition, CONSUL_R_INTERNAL, NULL));
    REQUIRE(s->inbound <= CONSUL_DEMAND_REQUIRE && s->inbound != CONSUL_DEMAND_AUTO);
    REQUIRE(s->outbound <= CONSUL_DEMAND_REQUIRE);
    REQUIRE(s->on_agent_loss <= CONSUL_LOSS_LAST_KNOWN && s->log_level <= CONSUL_LOG_DEBUG);
    REQUIRE(s->domain != NULL && strspn(s->domain, ",.") == 0 && strstr(s->domain, ",,") == NULL);
    REQUIRE(strpbrk(s->domain, " ABCDEFGHIJKLMNOPQRSTUVWXYZ/:") == NULL);
    require_duration(s->connect_timeout);
    require_duration(s->request_timeout);
    require_duration(s->authorize_timeout);
    require_duration(s->watch_wait);
}

static void try_address(const consul_settings *settings)
{
    consul_address address = {0};
    consul_error err = {0};
    int ok = consul_address_parse(settings, &address, &err);

    fuzz_require_result(ok, &err);
    /* tls_server_name may be no host name. */
    REQUIRE(ok || settings->tls_server_name != NULL || !consul_address_is_plain(settings->address));
    if (ok) {
        REQUIRE(strncmp(address.base, address.https ? "https://" : "http://", 7 + address.https)
                == 0);
        REQUIRE(address.base[strlen(address.base) - 1] != '/');
        REQUIRE(strpbrk(address.base, "?# ") == NULL);
        REQUIRE(address.https || !settings->tls);
        REQUIRE(memchr(address.base + 8, '@', strcspn(address.base + 8, "/")) == NULL);
        REQUIRE(address.socket_path == NULL || *address.socket_path != '\0');
    }
    consul_address_clear(&address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    consul_error err = {0};
    consul_settings *settings;
    rows all = {0};
    size_t i;

    read_rows(&input, &all);
    settings = consul_settings_new(value_of, &all, &err);
    fuzz_require_result(settings != NULL, &err);
    require_no_secret(&all, &err);
    if (settings != NULL) {
        require_bounds(settings);
        try_address(settings);
    }
    consul_settings_free(settings);
    for (i = 0; i < all.count; i++)
        free(all.lines[i]);
    return 0;
}
