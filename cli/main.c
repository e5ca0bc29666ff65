/* SPDX-License-Identifier: Apache-2.0 */
/* consul-tls(1): the command beside the provider. */
#include "agent/libraries.h"
#include "check/check.h"
#include "check/probe.h"
#include "commands.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define EXIT_USAGE 2

typedef struct command {
    const char *name, *options, *operands;
    int (*run)(const cli_arguments *arguments, consul_error *err);
} command;

/* Options with = take a value. */
static const command commands[] = {
    {"check", " config= application= service= connect= starttls= pid= user= from= cert= key= ", "",
     cli_check},
    {"status", " json ", "[PID]", cli_status},
    {"metrics", " listen= ", "", cli_metrics},
    {"config", " ", "[SERVICE] [SETTING=VALUE...]", cli_config},
    {"stand-in", " force owner= ", "SERVICE [FOLDER]", cli_stand_in},
    {"show", " config= application= pem ", "leaf|roots|intentions [SERVICE]", cli_show},
    {"register", " config= application= port= address= id= tag= ", "SERVICE|FILE", cli_register},
    {"deregister", " config= application= ", "SERVICE|FILE", cli_deregister},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_command(FILE *file, const command *one)
{
    const char *name = one->options;
    size_t len;

    fprintf(file, "  consul-tls %s", one->name);
    while ((len = strcspn(++name, " =")) > 0) {
        fprintf(file, " [--%.*s%s]", (int)len, name, name[len] == '=' ? " VALUE" : "");
        name += len + (name[len] == '=');
    }
    fprintf(file, "%s%s\n", *one->operands == '\0' ? "" : " ", one->operands);
}

static void print_usage(FILE *file)
{
    size_t i;

    fputs("usage:\n", file);
    for (i = 0; i < COMMANDS; i++)
        print_command(file, &commands[i]);
    fputs("consul-tls(1) has the options.\n", file);
}

static int run(const command *chosen, int argc, char **argv)
{
    cli_arguments arguments;
    consul_error err = {0};

    if (!cli_arguments_parse(&arguments, chosen->options, argc, argv, &err)) {
        fprintf(stderr, "consul-tls %s: %s\nusage:\n", chosen->name, err.text);
        print_command(stderr, chosen);
        return EXIT_USAGE;
    }
    /* The store has its JSON from there, and the command has the same. */
    if (!consul_libraries_load(&err) || !chosen->run(&arguments, &err)) {
        fflush(stdout);
        if (err.reason != 0)
            fprintf(stderr, "consul-tls %s: %s\n", chosen->name, err.text);
        return EXIT_FAILURE;
    }
    if (fflush(stdout) != 0) {
        fprintf(stderr, "consul-tls %s: the output cannot be written\n", chosen->name);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    size_t i;

    signal(SIGPIPE, SIG_IGN); /* of a peer that has gone */
    if (argc == 5 && strcmp(argv[1], CLI_PROBE) == 0)
        return cli_probe_serve(argv[2], argv[3], argv[4]);
    /* The command itself takes no part in Connect, and works with a file that is broken. */
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        puts("consul-tls " CONSUL_PROVIDER_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    for (i = 0; i < COMMANDS && argc >= 2; i++) {
        if (strcmp(commands[i].name, argv[1]) == 0)
            return run(&commands[i], argc, argv + 2);
    }
    print_usage(stderr);
    return EXIT_USAGE;
}
