/* SPDX-License-Identifier: Apache-2.0 */
/* The commands status and metrics: the boards of this host's processes, for people and for Prometheus. */
#include "commands.h"

#include "common/board.h"
#include "common/certificate.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

/* Take the operand PID, or 0 for all processes. */
static int take_pid(const cli_arguments *arguments, long *pid, consul_error *err)
{
    *pid = 0;
    if (arguments->count == 0)
        return 1;
    *pid = arguments->count == 1 ? cli_number(arguments->operands[0], INT32_MAX) : 0;
    return *pid != 0
           || consul_error_set(err, CONSUL_R_SETTING_INVALID,
                               "\"%s\" is no number of a process: give one, or none for all",
                               arguments->operands[0]);
}

static int find_boards(cli_boards *boards, long pid, consul_error *err)
{
    if (!cli_boards_find(boards, pid))
        return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the list of processes");
    if (boards->unreadable > 0)
        fprintf(stderr, "consul-tls: %zu processes are another user's: ask as root\n",
                boards->unreadable);
    if (pid == 0 || boards->count > 0)
        return 1;
    return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                            "process %ld has not loaded the provider, or is another user's: see "
                            "consul-tls check --pid %ld",
                            pid, pid);
}

/* ---- for people ---- */

static json_t *pids_of(const cli_board *b)
{
    json_t *pids = json_array();
    size_t i;

    for (i = 0; i < b->count; i++)
        json_array_append_new(pids, json_integer(b->pids[i]));
    return pids;
}

static json_t *leaves_of(const cli_board *b)
{
    json_t *leaves = json_array();
    char until[CLI_TIME_SIZE];
    prov_board_leaf leaf;
    size_t i;

    for (i = 0; i < PROV_BOARD_LEAVES; i++) {
        if (cli_board_leaf(b, i, &leaf))
            json_array_append_new(leaves,
                                  json_pack("{s:s, s:s, s:s}", "id", leaf.id, "serial", leaf.serial,
                                            "valid_until", cli_seconds(leaf.valid_until, until)));
    }
    return leaves;
}

static json_t *refused_of(const cli_board *b)
{
    json_t *refused = json_object();
    int i;

    for (i = 0; i < CONSUL_R_END - CONSUL_R_OUT_OF_MEMORY && i < PROV_BOARD_REASONS; i++) {
        if (b->board.refused[i] != 0)
            json_object_set_new(refused, consul_reason_text(CONSUL_R_OUT_OF_MEMORY + i),
                                json_integer((json_int_t)b->board.refused[i]));
    }
    return refused;
}

static json_t *as_json(const cli_board *b)
{
    const prov_board *board = &b->board;
    char started[CLI_TIME_SIZE];

    return json_pack(
        "{s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}",
        "pids", pids_of(b), "program", b->program, "provider", board->provider, "openssl",
        board->openssl, "started", cli_seconds(board->started, started), "service", board->service,
        "agent", board->agent, "refusal", board->refusal, "admitted_clients",
        (json_int_t)board->admitted_clients, "admitted_servers",
        (json_int_t)board->admitted_servers, "last_known", (json_int_t)board->last_known,
        "agent_answered", (json_int_t)board->agent_answered, "agent_lost",
        (json_int_t)board->agent_lost, "roots_changed", (json_int_t)board->roots_changed,
        "slots_given_up", (json_int_t)board->slots_given_up, "refused", refused_of(b), "leaves",
        leaves_of(b));
}

static void print_leaves(const cli_board *b)
{
    char until[CLI_TIME_SIZE], length[CLI_TIME_SIZE];
    prov_board_leaf leaf;
    size_t i;

    for (i = 0; i < PROV_BOARD_LEAVES; i++) {
        int64_t left;

        if (!cli_board_leaf(b, i, &leaf))
            continue;
        left = leaf.valid_until - (int64_t)time(NULL);
        printf("  leaf      %s, serial %s, valid until %s (%s %s)\n", leaf.id, leaf.serial,
               cli_seconds(leaf.valid_until, until), cli_length(left, length),
               left < 0 ? "ago" : "left");
    }
}

/* Print when the agent has answered last, and whether it is lost since. */
static void print_contact(const prov_board *board)
{
    int64_t now = (int64_t)time(NULL);
    char length[CLI_TIME_SIZE];

    if (board->agent_answered == 0)
        puts("  agent     no answer yet");
    else
        printf("  agent     answered %s ago\n", cli_length(now - board->agent_answered, length));
    if (board->agent_lost > board->agent_answered)
        printf("  agent     lost, found %s ago\n", cli_length(now - board->agent_lost, length));
}

static void print_board(const cli_board *b)
{
    const prov_board *board = &b->board;
    char started[CLI_TIME_SIZE];
    size_t i;
    int reason;

    printf("%s, process", b->program);
    for (i = 0; i < b->count; i++)
        printf(" %ld", b->pids[i]);
    printf("\n  since     %s, provider %s, %s\n", cli_seconds(board->started, started),
           board->provider, board->openssl);
    if (*board->refusal != '\0') {
        printf("  refuses   all TLS: %s\n", board->refusal);
        return;
    }
    printf("  governs   %s%s; agent %s\n", *board->service == '\0' ? "stand-ins" : "service ",
           board->service, board->agent);
    print_contact(board);
    print_leaves(b);
    printf("  admitted  %llu clients, %llu servers; %llu by their last verdict\n",
           (unsigned long long)board->admitted_clients, (unsigned long long)board->admitted_servers,
           (unsigned long long)board->last_known);
    for (reason = 0; reason < CONSUL_R_END - CONSUL_R_OUT_OF_MEMORY; reason++) {
        if (board->refused[reason] != 0)
            printf("  refused   %llu: %s\n", (unsigned long long)board->refused[reason],
                   consul_reason_text(CONSUL_R_OUT_OF_MEMORY + reason));
    }
}

int cli_status(const cli_arguments *arguments, consul_error *err)
{
    cli_boards boards = {0};
    json_t *list = NULL;
    long pid;
    size_t i;
    int ok = take_pid(arguments, &pid, err) && find_boards(&boards, pid, err);

    if (ok && cli_option(arguments, "json") != NULL) {
        list = json_array();
        for (i = 0; i < boards.count; i++)
            json_array_append_new(list, as_json(&boards.list[i]));
        json_dumpf(list, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(list);
    } else if (ok) {
        for (i = 0; i < boards.count; i++)
            print_board(&boards.list[i]);
    }
    cli_boards_free(&boards);
    return ok;
}

/* ---- for Prometheus, https://prometheus.io/docs/instrumenting/exposition_formats/ ---- */

/* Print the value of a label. */
static void print_value(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar((unsigned char)*text < 0x20 ? ' ' : *text);
    }
    putchar('"');
}

/* Print a name and the labels of a family, without the bracket after them. */
static void print_name(const char *name, const cli_board *b)
{
    printf("%s{program=", name);
    print_value(b->program);
    printf(",pid=\"%ld\"", b->pids[0]);
}

static void print_type(const char *name, const char *type, const char *help)
{
    printf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_info(const cli_boards *boards)
{
    size_t i;

    print_type("consul_provider_info", "gauge", "A family of processes with the provider.");
    for (i = 0; i < boards->count; i++) {
        const cli_board *b = &boards->list[i];

        print_name("consul_provider_info", b);
        fputs(",service=", stdout);
        print_value(b->board.service);
        fputs(",version=", stdout);
        print_value(b->board.provider);
        fputs(",openssl=", stdout);
        print_value(b->board.openssl);
        puts("} 1");
    }
    print_type("consul_provider_refuses_all", "gauge", "1 where the settings refuse all TLS.");
    for (i = 0; i < boards->count; i++) {
        print_name("consul_provider_refuses_all", &boards->list[i]);
        printf("} %d\n", *boards->list[i].board.refusal != '\0');
    }
    print_type("consul_provider_processes", "gauge", "Processes of the family.");
    for (i = 0; i < boards->count; i++) {
        print_name("consul_provider_processes", &boards->list[i]);
        printf("} %zu\n", boards->list[i].count);
    }
}

static void print_expiries(const cli_boards *boards)
{
    prov_board_leaf leaf;
    size_t i, place;

    print_type("consul_provider_leaf_expiry_timestamp_seconds", "gauge",
               "End of the leaf that is presented.");
    for (i = 0; i < boards->count; i++) {
        for (place = 0; place < PROV_BOARD_LEAVES; place++) {
            if (!cli_board_leaf(&boards->list[i], place, &leaf))
                continue;
            print_name("consul_provider_leaf_expiry_timestamp_seconds", &boards->list[i]);
            fputs(",id=", stdout);
            print_value(leaf.id);
            printf("} %lld\n", (long long)leaf.valid_until);
        }
    }
}

static void print_admitted(const cli_boards *boards)
{
    size_t i;

    print_type("consul_provider_peers_admitted_total", "counter", "Peers that were admitted.");
    for (i = 0; i < boards->count; i++) {
        print_name("consul_provider_peers_admitted_total", &boards->list[i]);
        printf(",peer=\"client\"} %llu\n",
               (unsigned long long)boards->list[i].board.admitted_clients);
        print_name("consul_provider_peers_admitted_total", &boards->list[i]);
        printf(",peer=\"server\"} %llu\n",
               (unsigned long long)boards->list[i].board.admitted_servers);
    }
}

/* Print one number of each board. */
static void print_number(const cli_boards *boards, const char *name, const char *type,
                         const char *help, size_t offset)
{
    size_t i;

    print_type(name, type, help);
    for (i = 0; i < boards->count; i++) {
        const char *at = (const char *)&boards->list[i].board + offset;
        int64_t value;

        memcpy(&value, at, sizeof(value));
        print_name(name, &boards->list[i]);
        printf("} %lld\n", (long long)value);
    }
}

static void print_numbers(const cli_boards *boards)
{
    print_number(boards, "consul_provider_start_timestamp_seconds", "gauge",
                 "Start of the first process of the family.", offsetof(prov_board, started));
    print_number(boards, "consul_provider_agent_last_answer_timestamp_seconds", "gauge",
                 "The last answer of the agent.", offsetof(prov_board, agent_answered));
    print_number(boards, "consul_provider_agent_last_loss_timestamp_seconds", "gauge",
                 "The last request that has found the agent lost.",
                 offsetof(prov_board, agent_lost));
    print_number(boards, "consul_provider_peers_admitted_last_known_total", "counter",
                 "Peers that were admitted by their last verdict.",
                 offsetof(prov_board, last_known));
    print_number(boards, "consul_provider_roots_changes_total", "counter", "Changes of the roots.",
                 offsetof(prov_board, roots_changed));
    print_number(boards, "consul_provider_slots_given_up_total", "counter",
                 "Slots of a watch that were given up.", offsetof(prov_board, slots_given_up));
}

static void print_refused(const cli_boards *boards)
{
    size_t i;
    int reason;

    print_type("consul_provider_handshakes_refused_total", "counter",
               "Handshakes that were refused, by reason.");
    for (i = 0; i < boards->count; i++) {
        for (reason = 0; reason < CONSUL_R_END - CONSUL_R_OUT_OF_MEMORY; reason++) {
            print_name("consul_provider_handshakes_refused_total", &boards->list[i]);
            fputs(",reason=", stdout);
            print_value(consul_reason_text(CONSUL_R_OUT_OF_MEMORY + reason));
            printf("} %llu\n", (unsigned long long)boards->list[i].board.refused[reason]);
        }
    }
}

int cli_metrics(const cli_arguments *arguments, consul_error *err)
{
    cli_boards boards = {0};
    int ok = arguments->count == 0 ? find_boards(&boards, 0, err)
                                   : consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                                      "the command takes no operand: leave it out");

    if (ok) {
        print_info(&boards);
        print_numbers(&boards);
        print_expiries(&boards);
        print_admitted(&boards);
        print_refused(&boards);
    }
    cli_boards_free(&boards);
    return ok;
}
