/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command metrics: the boards of this host's processes for Prometheus,
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#include "commands.h"

#include "common/board.h"
#include "common/http.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Print the value of a label. */
static void print_value(FILE *out, const char *text)
{
    putc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', out);
        putc((unsigned char)*text < 0x20 ? ' ' : *text, out);
    }
    putc('"', out);
}

/* Print another label. */
static void print_label(FILE *out, const char *name, const char *value)
{
    fprintf(out, ",%s=", name);
    print_value(out, value);
}

/* Print a name and the labels of a family, without the bracket after them. */
static void print_name(FILE *out, const char *name, const cli_board *b)
{
    fprintf(out, "%s{program=", name);
    print_value(out, b->program);
    fprintf(out, ",pid=\"%ld\"", b->pids[0]);
}

static void print_end(FILE *out, uint64_t value)
{
    fprintf(out, "} %llu\n", (unsigned long long)value);
}

static void print_type(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_info(FILE *out, const cli_board *b)
{
    print_name(out, "consul_provider_info", b);
    print_label(out, "service", b->board.head.service);
    print_label(out, "version", b->board.head.provider);
    print_label(out, "openssl", b->board.head.openssl);
    print_end(out, 1);
}

static void print_expiries(FILE *out, const cli_board *b)
{
    prov_board_leaf leaf;
    size_t place;

    for (place = 0; place < PROV_BOARD_LEAVES; place++) {
        if (!cli_board_leaf(b, place, &leaf))
            continue;
        print_name(out, "consul_provider_leaf_expiry_timestamp_seconds", b);
        print_label(out, "id", leaf.id);
        fprintf(out, "} %lld\n", (long long)leaf.valid_until);
    }
}

static void print_admitted(FILE *out, const cli_board *b)
{
    static const char *const bases[PROV_BOARD_BASES] = {"question", "kept verdict",
                                                        "last-known verdict"};
    size_t i;

    for (i = 0; i < PROV_BOARD_BASES; i++) {
        print_name(out, "consul_provider_peers_admitted_total", b);
        fputs(",peer=\"client\"", out);
        print_label(out, "by", bases[i]);
        print_end(out, b->board.admitted_clients[i]);
    }
    print_name(out, "consul_provider_peers_admitted_total", b);
    fputs(",peer=\"server\",by=\"\"", out);
    print_end(out, b->board.admitted_servers);
}

static void print_refused(FILE *out, const cli_board *b)
{
    int reason;

    for (reason = 0; reason < CONSUL_R_END - CONSUL_R_OUT_OF_MEMORY; reason++) {
        print_name(out, "consul_provider_handshakes_refused_total", b);
        print_label(out, "reason", consul_reason_text(CONSUL_R_OUT_OF_MEMORY + reason));
        print_end(out, b->board.refused[reason]);
    }
}

static void print_lanes(FILE *out, const cli_board *b)
{
    char pid[32];
    size_t i, lane;

    for (i = 0; i < b->count; i++) {
        const prov_board_process *one = cli_board_process(b, i);

        for (lane = 0; one != NULL && lane < PROV_BOARD_LANES; lane++) {
            const prov_board_lane *watched = cli_board_lane(one, lane);

            if (watched == NULL)
                continue;
            snprintf(pid, sizeof(pid), "%ld", b->pids[i]);
            print_name(out, "consul_provider_watch_index", b);
            print_label(out, "process", pid);
            print_label(out, "lane", watched->of);
            print_label(out, "service", watched->service);
            print_end(out, watched->index);
        }
    }
}

/* ---- numbers of a family ---- */

static uint64_t refuses_all(const cli_board *b)
{
    return *b->board.head.refusal != '\0';
}

static uint64_t processes(const cli_board *b)
{
    return b->count;
}

/* Count the processes of a family that have an answer in the first lane. */
static uint64_t watching(const cli_board *b)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < b->count; i++) {
        const prov_board_process *one = cli_board_process(b, i);
        const prov_board_lane *lane = one == NULL ? NULL : cli_board_lane(one, 0);

        sum += lane != NULL && lane->index != 0;
    }
    return sum;
}

static uint64_t busy(const cli_board *b)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < b->count; i++) {
        const prov_board_process *one = cli_board_process(b, i);

        sum += one != NULL && cli_board_is_busy(one);
    }
    return sum;
}

static uint64_t verdicts(const cli_board *b)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < b->count; i++) {
        const prov_board_process *one = cli_board_process(b, i);

        sum += one == NULL ? 0 : one->verdicts;
    }
    return sum;
}

static uint64_t started(const cli_board *b)
{
    return (uint64_t)b->board.head.started;
}

static uint64_t agent_answered(const cli_board *b)
{
    return (uint64_t)b->board.agent_answered;
}

static uint64_t agent_lost(const cli_board *b)
{
    return (uint64_t)b->board.agent_lost;
}

static uint64_t roots(const cli_board *b)
{
    return (uint64_t)b->board.roots;
}

static uint64_t roots_changed(const cli_board *b)
{
    return (uint64_t)b->board.roots_changed;
}

static uint64_t slots_given_up(const cli_board *b)
{
    return (uint64_t)b->board.slots_given_up;
}

/* A metric: its one number of a family, or a function that prints the lines of a family. */
typedef struct metric {
    const char *name, *type, *help;
    uint64_t (*number)(const cli_board *b);
    void (*print)(FILE *out, const cli_board *b);
} metric;

static const metric metrics[] = {
    {"info", "gauge", "A family of processes with the provider.", NULL, print_info},
    {"refuses_all", "gauge", "1 where the settings refuse all TLS.", refuses_all, NULL},
    {"processes", "gauge", "Processes of the family.", processes, NULL},
    {"start_timestamp_seconds", "gauge", "Start of the first process of the family.", started,
     NULL},
    {"agent_last_answer_timestamp_seconds", "gauge", "The last answer of the agent.",
     agent_answered, NULL},
    {"agent_last_loss_timestamp_seconds", "gauge",
     "The last request that has found the agent lost.", agent_lost, NULL},
    {"roots", "gauge", "Roots that Consul lists.", roots, NULL},
    {"roots_changes_total", "counter", "Changes of the roots.", roots_changed, NULL},
    {"slots_given_up_total", "counter", "Slots of a watch that were given up.", slots_given_up,
     NULL},
    {"watching_processes", "gauge", "Processes whose watch is healthy.", watching, NULL},
    {"busy_processes", "gauge", "Processes with 20 peers in a second.", busy, NULL},
    {"known_verdicts", "gauge", "Peers with a kept verdict, of all processes.", verdicts, NULL},
    {"watch_index", "gauge", "Index of the last answer to a lane; 0 while it is not healthy.", NULL,
     print_lanes},
    {"leaf_expiry_timestamp_seconds", "gauge", "End of the leaf that is presented.", NULL,
     print_expiries},
    {"peers_admitted_total", "counter", "Peers that were admitted.", NULL, print_admitted},
    {"handshakes_refused_total", "counter", "Handshakes that were refused, by reason.", NULL,
     print_refused},
};

static void print_metric(FILE *out, const metric *m, const cli_boards *boards)
{
    char name[128];
    size_t i;

    snprintf(name, sizeof(name), "consul_provider_%s", m->name);
    print_type(out, name, m->type, m->help);
    for (i = 0; i < boards->count; i++) {
        const cli_board *b = &boards->list[i];

        if (b->is_foreign)
            continue;
        if (m->print != NULL) {
            m->print(out, b);
        } else {
            print_name(out, name, b);
            print_end(out, m->number(b));
        }
    }
}

/* Print what this user cannot see: a board of another user, or of another version. */
static void print_unseen(FILE *out, const cli_boards *boards)
{
    size_t i, foreign = 0;

    for (i = 0; i < boards->count; i++)
        foreign += boards->list[i].is_foreign;
    print_type(out, "consul_provider_unreadable_processes", "gauge",
               "Processes of other users, which only root may read.");
    fprintf(out, "consul_provider_unreadable_processes %zu\n", boards->unreadable);
    print_type(out, "consul_provider_other_versions", "gauge",
               "Families with another version of the provider, which were not started again.");
    fprintf(out, "consul_provider_other_versions %zu\n", foreign);
}

static int print_page(FILE *out, consul_error *err)
{
    cli_boards boards;
    size_t i;
    int ok = cli_boards_find(&boards, 0, err);

    for (i = 0; ok && i < sizeof(metrics) / sizeof(metrics[0]); i++)
        print_metric(out, &metrics[i], &boards);
    if (ok)
        print_unseen(out, &boards);
    cli_boards_free(&boards);
    return ok;
}

int cli_metrics(const cli_arguments *arguments, consul_error *err)
{
    const char *address = cli_option(arguments, "listen");

    if (arguments->count != 0)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "the command takes no operand: leave it out");
    return address == NULL ? print_page(stdout, err) : cli_http_serve(address, print_page, err);
}
