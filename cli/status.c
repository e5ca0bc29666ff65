/* SPDX-License-Identifier: Apache-2.0 */
/* The command status: the boards of this host's processes, for people and as JSON. */
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

static const char *const bases[PROV_BOARD_BASES] = {
    [CONSUL_BASIS_QUESTION] = "question",
    [CONSUL_BASIS_KEPT] = "kept verdict",
    [CONSUL_BASIS_LAST_KNOWN] = "last-known verdict",
};

/* ---- as JSON ---- */

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

static json_t *admitted_of(const cli_board *b)
{
    json_t *admitted = json_object();
    size_t i;

    for (i = 0; i < PROV_BOARD_BASES; i++)
        json_object_set_new(admitted, bases[i],
                            json_integer((json_int_t)b->board.admitted_clients[i]));
    return admitted;
}

static json_t *lanes_of(const prov_board_process *process)
{
    json_t *lanes = json_array();
    size_t i;

    for (i = 0; i < PROV_BOARD_LANES; i++) {
        const prov_board_lane *lane = cli_board_lane(process, i);

        if (lane != NULL)
            json_array_append_new(lanes,
                                  json_pack("{s:s, s:s, s:I, s:I}", "of", lane->of, "service",
                                            lane->service, "index", (json_int_t)lane->index,
                                            "answered", (json_int_t)lane->answered));
    }
    return lanes;
}

static json_t *processes_of(const cli_board *b)
{
    json_t *processes = json_array();
    size_t i;

    for (i = 0; i < b->count; i++) {
        const prov_board_process *one = cli_board_process(b, i);

        if (one != NULL)
            json_array_append_new(processes,
                                  json_pack("{s:I, s:b, s:I, s:o}", "pid", (json_int_t)b->pids[i],
                                            "busy", (int)cli_board_is_busy(one), "known_verdicts",
                                            (json_int_t)one->verdicts, "lanes", lanes_of(one)));
    }
    return processes;
}

static json_t *as_json(const cli_board *b)
{
    const prov_board *board = &b->board;
    char started[CLI_TIME_SIZE];
    json_t *json = json_pack("{s:o, s:s, s:b}", "pids", pids_of(b), "program", b->program,
                             "other_version", (int)b->is_foreign);
    json_t *rest;

    if (b->is_foreign)
        return json;
    rest = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}",
        "provider", board->head.provider, "openssl", board->head.openssl, "started",
        cli_seconds(board->head.started, started), "service", board->head.service, "agent",
        board->head.agent, "refusal", board->head.refusal, "admitted_clients",
        (json_int_t)cli_board_clients(b), "admitted_by", admitted_of(b), "admitted_servers",
        (json_int_t)board->admitted_servers, "agent_answered", (json_int_t)board->agent_answered,
        "agent_lost", (json_int_t)board->agent_lost, "roots", (json_int_t)board->roots,
        "roots_changed", (json_int_t)board->roots_changed, "slots_given_up",
        (json_int_t)board->slots_given_up, "refused", refused_of(b), "leaves", leaves_of(b),
        "processes", processes_of(b));
    json_object_update(json, rest);
    json_decref(rest);
    return json;
}

/* ---- for people ---- */

static void print_leaves(const cli_board *b)
{
    char until[CLI_TIME_SIZE], length[CLI_TIME_SIZE];
    prov_board_leaf leaf;
    size_t i;

    for (i = 0; i < PROV_BOARD_LEAVES; i++) {
        int64_t left;

        if (!cli_board_leaf(b, i, &leaf))
            continue;
        left = cli_between((int64_t)time(NULL), leaf.valid_until);
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
        printf("  agent     answered %s ago\n",
               cli_length(cli_between(board->agent_answered, now), length));
    if (board->agent_lost > board->agent_answered)
        printf("  agent     lost, found %s ago\n",
               cli_length(cli_between(board->agent_lost, now), length));
    if (board->roots != 0)
        printf("  roots     %u\n", (unsigned)board->roots);
}

static void print_lane(const prov_board_lane *lane)
{
    printf("; %s", lane->of);
    if (*lane->service != '\0')
        printf(" of \"%s\"", lane->service);
    if (lane->index != 0)
        printf(" at index %llu", (unsigned long long)lane->index);
    else
        printf(" without an answer");
}

/* Print the watch of each process that has begun two handshakes. */
static void print_processes(const cli_board *b)
{
    size_t i, lane, lanes;

    for (i = 0; i < b->count; i++) {
        const prov_board_process *one = cli_board_process(b, i);

        if (one == NULL)
            continue;
        printf("  process   %ld: %s, %u known verdicts", b->pids[i],
               cli_board_is_busy(one) ? "busy" : "quiet", (unsigned)one->verdicts);
        for (lane = 0, lanes = 0; lane < PROV_BOARD_LANES; lane++) {
            const prov_board_lane *watched = cli_board_lane(one, lane);

            if (watched != NULL)
                print_lane(watched);
            lanes += watched != NULL;
        }
        puts(lanes == 0 ? "; no watch: it asks at each handshake" : "");
    }
}

static void print_counts(const cli_board *b)
{
    const prov_board *board = &b->board;
    size_t i;
    int reason;

    printf("  admitted  %llu clients", (unsigned long long)cli_board_clients(b));
    for (i = 0; i < PROV_BOARD_BASES && cli_board_clients(b) != 0; i++) {
        if (board->admitted_clients[i] != 0)
            printf(", %llu by %s", (unsigned long long)board->admitted_clients[i], bases[i]);
    }
    printf("; %llu servers\n", (unsigned long long)board->admitted_servers);
    for (reason = 0; reason < CONSUL_R_END - CONSUL_R_OUT_OF_MEMORY; reason++) {
        if (board->refused[reason] != 0)
            printf("  refused   %llu: %s\n", (unsigned long long)board->refused[reason],
                   consul_reason_text(CONSUL_R_OUT_OF_MEMORY + reason));
    }
}

static void print_board(const cli_board *b)
{
    const prov_board *board = &b->board;
    char started[CLI_TIME_SIZE];
    size_t i;

    printf("%s, process", b->program);
    for (i = 0; i < b->count; i++)
        printf(" %ld", b->pids[i]);
    if (b->is_foreign) {
        puts("\n  shows     a board of another version of the provider: start the program again");
        return;
    }
    printf("\n  since     %s, provider %s, %s\n", cli_seconds(board->head.started, started),
           board->head.provider, board->head.openssl);
    if (*board->head.refusal != '\0') {
        printf("  refuses   all TLS: %s\n", board->head.refusal);
        return;
    }
    printf("  governs   %s%s; agent %s\n", *board->head.service == '\0' ? "stand-ins" : "service ",
           board->head.service, board->head.agent);
    print_contact(board);
    print_leaves(b);
    print_processes(b);
    print_counts(b);
}

int cli_status(const cli_arguments *arguments, consul_error *err)
{
    cli_boards boards = {0};
    json_t *list = NULL;
    long pid;
    size_t i;
    int ok = take_pid(arguments, &pid, err) && cli_boards_find(&boards, pid, err);

    if (boards.unreadable > 0)
        fprintf(stderr, "consul-tls: %zu processes are another user's: ask as root\n",
                boards.unreadable);
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
