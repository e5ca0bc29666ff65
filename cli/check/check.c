/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include "check/agent.h"
#include "check/file.h"
#include "check/handshake.h"
#include "check/module.h"
#include "check/pair.h"
#include "check/process.h"
#include "check/service.h"
#include "common/process.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define BIT(link) (1U << (link))

/* A link, the links that it needs, and the option without which it is not tried. */
typedef struct step {
    enum cli_link_name link;
    unsigned needs;
    const char *option;
    bool (*check)(cli_chain *chain);
} step;

static const step steps[] = {
    {CLI_LINK_FILE, 0, NULL, cli_check_file},
    {CLI_LINK_SECTION, BIT(CLI_LINK_FILE), NULL, cli_check_section},
    {CLI_LINK_MODULE, BIT(CLI_LINK_SECTION), NULL, cli_check_module},
    {CLI_LINK_SETTINGS, BIT(CLI_LINK_SECTION), NULL, cli_check_settings},
    {CLI_LINK_PAIR, 0, "cert", cli_check_pair},
    {CLI_LINK_AGENT, BIT(CLI_LINK_SETTINGS), NULL, cli_check_agent},
    {CLI_LINK_CLOCK, BIT(CLI_LINK_AGENT), NULL, cli_check_clock},
    {CLI_LINK_ROOTS, BIT(CLI_LINK_CLOCK), NULL, cli_check_roots},
    {CLI_LINK_TOKEN, BIT(CLI_LINK_AGENT), NULL, cli_check_token},
    {CLI_LINK_LEAF, BIT(CLI_LINK_TOKEN) | BIT(CLI_LINK_ROOTS), NULL, cli_check_leaf},
    {CLI_LINK_INTENTIONS, BIT(CLI_LINK_LEAF), NULL, cli_check_intentions},
    {CLI_LINK_HANDSHAKE, BIT(CLI_LINK_LEAF) | BIT(CLI_LINK_MODULE), NULL, cli_check_handshake},
    {CLI_LINK_LISTENER, BIT(CLI_LINK_LEAF), "connect", cli_check_listener},
    {CLI_LINK_PROCESS, 0, "pid", cli_check_process},
};

/* Return the first link that is missing, or CLI_LINKS. */
static enum cli_link_name find_missing(const cli_chain *chain, unsigned needs)
{
    unsigned link = 0;

    while (link < CLI_LINKS && ((needs & BIT(link)) == 0 || chain->links[link].state == CLI_OK))
        link++;
    return (enum cli_link_name)link;
}

static void walk(cli_chain *chain)
{
    size_t i;

    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        const step *s = &steps[i];
        enum cli_link_name missing = find_missing(chain, s->needs);

        if (s->option != NULL && cli_chain_option(chain, s->option) == NULL)
            cli_not_tried(chain, s->link, s->option, missing);
        else if (missing != CLI_LINKS)
            cli_not_tried(chain, s->link, NULL, missing);
        else
            s->check(chain);
    }
}

/*
 * Take over the variables of a process that count for the provider. Its file is the default of --config. A
 * file names a module, a token and an agent. So another user's process must not choose it.
 */
static void take_environment(const cli_chain *chain, const char **path)
{
    const char *pid = cli_chain_option(chain, "pid");
    const consul_option *option;
    cli_process process = {0};
    const char *value;

    if (pid == NULL || !cli_process_open(&process, cli_number(pid, INT32_MAX)) || !process.is_ours
        || process.environment_len == 0)
        goto done;
    for (option = consul_options; option->name != NULL; option++) {
        if (option->env == NULL)
            continue;
        value = cli_process_variable(&process, option->env);
        if (value == NULL)
            unsetenv(option->env);
        else
            setenv(option->env, value, 1);
    }
    value = cli_process_variable(&process, "OPENSSL_CONF");
    if (*path == NULL && value != NULL && setenv("OPENSSL_CONF", value, 1) == 0)
        *path = getenv("OPENSSL_CONF");

done:
    cli_process_close(&process);
}

int cli_check(const cli_arguments *arguments, consul_error *err)
{
    cli_chain *chain = OPENSSL_zalloc(sizeof(*chain));
    const char *path = cli_option(arguments, "config");
    bool good = false;

    if (chain == NULL)
        return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the check");
    chain->arguments = arguments;
    take_environment(chain, &path);
    if (arguments->count != 0)
        consul_error_set(err, CONSUL_R_SETTING_INVALID,
                         "the command takes options only, and no \"%s\"", arguments->operands[0]);
    else if (cli_conf_open(&chain->agent.conf, path, cli_option(arguments, "application"), err)) {
        walk(chain);
        good = cli_chain_print(chain);
    }
    consul_leaf_unref(chain->leaf);
    consul_roots_unref(chain->roots);
    cli_agent_close(&chain->agent);
    OPENSSL_free(chain);
    return good;
}
