/* SPDX-License-Identifier: Apache-2.0 */
#include "check/chain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[CLI_LINKS] = {
    [CLI_LINK_FILE] = "file",           [CLI_LINK_SECTION] = "section",
    [CLI_LINK_MODULE] = "module",       [CLI_LINK_SETTINGS] = "settings",
    [CLI_LINK_AGENT] = "agent",         [CLI_LINK_CLOCK] = "clock",
    [CLI_LINK_ROOTS] = "roots",         [CLI_LINK_TOKEN] = "token",
    [CLI_LINK_LEAF] = "leaf",           [CLI_LINK_INTENTIONS] = "intentions",
    [CLI_LINK_HANDSHAKE] = "handshake", [CLI_LINK_LISTENER] = "listener",
    [CLI_LINK_PROCESS] = "process",     [CLI_LINK_PAIR] = "stand-in",
};

static const char *const states[] = {"not tried", "ok", "broken"};

/* Make a text of others printable, on one line. */
static void make_line(char *text)
{
    size_t len = strlen(text);
    char *p;

    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        text[--len] = '\0';
    for (p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            *p = ' ';
    }
}

bool cli_ok(cli_chain *chain, enum cli_link_name link, const char *format, ...)
{
    cli_link *l = &chain->links[link];
    va_list args;

    l->state = CLI_OK;
    va_start(args, format);
    vsnprintf(l->text, sizeof(l->text), format, args);
    va_end(args);
    make_line(l->text);
    return true;
}

bool cli_broken(cli_chain *chain, enum cli_link_name link, const char *cure, const char *format,
                ...)
{
    cli_link *l = &chain->links[link];
    va_list args;

    l->state = CLI_BROKEN;
    snprintf(l->cure, sizeof(l->cure), "%s", cure);
    va_start(args, format);
    vsnprintf(l->text, sizeof(l->text), format, args);
    va_end(args);
    make_line(l->text);
    make_line(l->cure);
    return false;
}

void cli_not_tried(cli_chain *chain, enum cli_link_name link, const char *option,
                   enum cli_link_name needed)
{
    char *text = chain->links[link].text;

    if (option != NULL)
        snprintf(text, sizeof(chain->links[link].text), "for want of --%s", option);
    else
        snprintf(text, sizeof(chain->links[link].text), "for want of the link %s", names[needed]);
}

const char *cli_chain_option(const cli_chain *chain, const char *name)
{
    return cli_option(chain->arguments, name);
}

bool cli_chain_print(const cli_chain *chain)
{
    bool good = true;
    size_t i;

    for (i = 0; i < CLI_LINKS; i++) {
        const cli_link *l = &chain->links[i];

        printf("%-9s  %-10s%s%s\n", states[l->state], names[i], *l->text == '\0' ? "" : "  ",
               l->text);
    }
    for (i = 0; i < CLI_LINKS; i++) {
        if (chain->links[i].state != CLI_BROKEN)
            continue;
        printf("cure of %s: %s\n", names[i], chain->links[i].cure);
        good = false;
    }
    return good;
}
