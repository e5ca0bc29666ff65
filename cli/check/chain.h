/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain from openssl.cnf to a governed process, link by link. A function checks each link. It fills in
 * the link, and returns false where the link is broken. The links that it needs are in order by then. One
 * thread.
 */
#ifndef CLI_CHECK_CHAIN_H
#define CLI_CHECK_CHAIN_H

#include "common/agent.h"

/* In the order of the output. */
enum cli_link_name {
    CLI_LINK_FILE,
    CLI_LINK_SECTION,
    CLI_LINK_MODULE,
    CLI_LINK_SETTINGS,
    CLI_LINK_PAIR,
    CLI_LINK_AGENT,
    CLI_LINK_CLOCK,
    CLI_LINK_ROOTS,
    CLI_LINK_TOKEN,
    CLI_LINK_LEAF,
    CLI_LINK_INTENTIONS,
    CLI_LINK_HANDSHAKE,
    CLI_LINK_LISTENER,
    CLI_LINK_PROCESS,
    CLI_LINKS
};

enum cli_state { CLI_NOT_TRIED, CLI_OK, CLI_BROKEN };

typedef struct cli_link {
    enum cli_state state;
    char text[2048]; /* one line */
    char cure[1024]; /* of a broken link */
} cli_link;

/* All that the links find out. They share it from the first to the last. */
typedef struct cli_chain {
    const cli_arguments *arguments; /* borrowed */
    cli_link links[CLI_LINKS];
    char module[4096];      /* path of the module; "" without one */
    cli_agent agent;        /* conf from the first link on, store and agent from the settings on */
    consul_service service; /* of the options or the settings; no name without one */
    consul_roots *roots;
    consul_leaf *leaf;
    int64_t agent_date; /* seconds since 1970 by the agent's clock, 0 without it */
} cli_chain;

/* Record how a link is. The second one returns false, so that `return cli_broken(...)` ends a link. */
bool cli_ok(cli_chain *chain, enum cli_link_name link, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool cli_broken(cli_chain *chain, enum cli_link_name link, const char *cure, const char *format,
                ...) __attribute__((format(printf, 4, 5)));

/* Note why a link is not tried: for want of an option, or of another link. */
void cli_not_tried(cli_chain *chain, enum cli_link_name link, const char *option,
                   enum cli_link_name needed);

/* Return the value of an option, or NULL. */
const char *cli_chain_option(const cli_chain *chain, const char *name);

/* Print all links, and the cure of each broken one. Return true where no link is broken. */
bool cli_chain_print(const cli_chain *chain);

#endif
