/* SPDX-License-Identifier: Apache-2.0 */
/* The command config: an openssl.cnf that is closed, as openssl.cnf.example. */
#include "commands.h"

#include "base/settings.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/crypto.h>

#define SECTION "consul_sect"

typedef struct given {
    const cli_arguments *arguments;
    const char *service; /* NULL for stand-ins */
    const char *module;
} given;

/* Return the value of "name=value" among the operands, or NULL. */
static const char *find_operand(const cli_arguments *arguments, const char *name)
{
    size_t len = strlen(name), i;

    for (i = 0; i < arguments->count; i++) {
        const char *operand = arguments->operands[i];

        if (strncmp(operand, name, len) == 0 && operand[len] == '=')
            return operand + len + 1;
    }
    return NULL;
}

static const char *lookup(const char *name, void *arg)
{
    const given *g = arg;
    const char *value = find_operand(g->arguments, name);

    return value == NULL && strcmp(name, "service") == 0 ? g->service : value;
}

/* Refuse an operand that is neither a service in the first place nor a setting. */
static int check_operands(const cli_arguments *arguments, consul_error *err)
{
    size_t i;

    for (i = 0; i < arguments->count; i++) {
        const char *operand = arguments->operands[i], *equals = strchr(operand, '=');
        const consul_option *option = consul_options;
        size_t len = equals == NULL ? 0 : (size_t)(equals - operand);

        if (equals == NULL && i == 0)
            continue;
        while (option->name != NULL
               && (strlen(option->name) != len || strncmp(option->name, operand, len) != 0))
            option++;
        if (strncmp(operand, "module=", 7) == 0
            || (option->name != NULL && option->type != CONSUL_OPTION_TABLE))
            continue;
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "\"%s\" is no SETTING=VALUE; consul-provider(5) has the settings",
                                operand);
    }
    return 1;
}

/* Print a value so that OpenSSL reads the same text. */
static void print_row(BIO *out, const char *name, const char *value)
{
    BIO_printf(out, "%s = ", name);
    for (; *value != '\0'; value++) {
        if (strchr("\\#$\"'", *value) != NULL)
            BIO_write(out, "\\", 1);
        BIO_write(out, value, 1);
    }
    BIO_write(out, "\n", 1);
}

static void print_file(BIO *out, const given *g)
{
    const consul_option *option;

    BIO_printf(
        out, "%s",
        "# Consul Connect for OpenSSL programs. Start a program with OPENSSL_CONF=/path/to/this/file.\n"
        "# Then look: consul-tls check --config /path/to/this/file. Settings: consul-provider(5).\n"
        "config_diagnostics = 1\n"
        "openssl_conf = openssl_init\n"
        "\n"
        "[openssl_init]\n"
        "providers = provider_sect\n"
        "\n"
        "[provider_sect]\n"
        "null = null_sect\n"
        "consul = " SECTION "\n"
        "\n"
        "# OpenSSL's null provider has no cryptography. The consul provider brings it along. A program\n"
        "# without the consul provider does no TLS, instead of ungoverned TLS.\n"
        "[null_sect]\n"
        "activate = 1\n"
        "\n"
        "[" SECTION "]\n");
    print_row(out, "module", g->module);
    print_row(out, "activate", "1");
    if (g->service == NULL)
        BIO_printf(out, "# No service: stand-ins name the services. See consul-tls stand-in.\n");
    for (option = consul_options; option->name != NULL; option++) {
        const char *value = lookup(option->name, (void *)(uintptr_t)g);

        if (value != NULL)
            print_row(out, option->name, value);
    }
}

/* Return 1 where OpenSSL reads that value in the file, and takes it for no section. */
static int check_row(const CONF *conf, const char *name, const char *value, consul_error *err)
{
    const char *read = NCONF_get_string(conf, SECTION, name);

    if (NCONF_get_section(conf, value) != NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "%s = %s: OpenSSL would take the value for a section of the file",
                                name, value);
    return (read != NULL && strcmp(read, value) == 0)
           || consul_error_set(err, CONSUL_R_SETTING_INVALID,
                               "%s: OpenSSL cannot read this value from a file", name);
}

/* Read the file as OpenSSL would, and compare it with what was given. */
static int check_file(BIO *out, const given *g, consul_error *err)
{
    CONF *conf = NCONF_new(NULL);
    char *text;
    long len = BIO_get_mem_data(out, &text), line = 0;
    BIO *copy = BIO_new_mem_buf(text, (int)len);
    const consul_option *option;
    int ok = conf != NULL && copy != NULL && NCONF_load_bio(conf, copy, &line) > 0;

    if (!ok)
        consul_error_set(err, CONSUL_R_SETTING_INVALID,
                         "OpenSSL cannot read line %ld of the file: give another value", line);
    ok = ok && check_row(conf, "module", g->module, err);
    for (option = consul_options; ok && option->name != NULL; option++) {
        const char *value = lookup(option->name, (void *)(uintptr_t)g);

        ok = value == NULL || check_row(conf, option->name, value, err);
    }
    BIO_free(copy);
    NCONF_free(conf);
    return ok;
}

/* Return the module as a file names it: without a folder, where OpenSSL looks in that folder. */
static const char *default_module(void)
{
    const char *folder = OPENSSL_info(OPENSSL_INFO_MODULES_DIR);
    size_t len = folder == NULL ? 0 : strlen(folder);

    return len > 0 && strncmp(CLI_MODULE, folder, len) == 0 && CLI_MODULE[len] == '/'
               ? &CLI_MODULE[len + 1]
               : CLI_MODULE;
}

int cli_config(const cli_arguments *arguments, consul_error *err)
{
    bool names_service = arguments->count > 0 && strchr(arguments->operands[0], '=') == NULL;
    given g = {.arguments = arguments, .module = find_operand(arguments, "module")};
    consul_settings *settings;
    char *text;
    BIO *out;
    long len;
    int ok;

    if (g.module == NULL)
        g.module = default_module();
    g.service = names_service ? arguments->operands[0] : find_operand(arguments, "service");
    if (!check_operands(arguments, err)
        || (settings = consul_settings_new(lookup, &g, err)) == NULL)
        return 0;
    consul_settings_free(settings);
    if ((out = BIO_new(BIO_s_mem())) == NULL)
        return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the file");
    print_file(out, &g);
    ok = check_file(out, &g, err);
    len = BIO_get_mem_data(out, &text);
    if (ok)
        fwrite(text, 1, (size_t)len, stdout);
    BIO_free(out);
    return ok;
}
