/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board: what a process and its forks show to consul-tls status. It is memory that they share, without a
 * name in any folder. The kernel frees it with the last of them. It shows it in /proc, to root and to their
 * own user only. Nothing in it is secret, and no process reads its own board.
 *
 * Any thread, any child of a fork. Counters are added to without a lock. A handshake makes no system call here.
 */
#ifndef PROV_REPORT_BOARD_H
#define PROV_REPORT_BOARD_H

#include "store.h"

#include <stdatomic.h>

#define PROV_BOARD_NAME "consul-provider" /* in /proc/PID/maps: /memfd:consul-provider (deleted) */
#define PROV_BOARD_MAGIC \
    UINT64_C(0x636f6e73756c0003) /* its last two bytes are the version of the layout */
#define PROV_BOARD_LEAVES 16     /* services of a process that are shown */
#define PROV_BOARD_PROCESSES 32  /* processes of a family whose watch is shown */
#define PROV_BOARD_LANES 3       /* of a watch */
#define PROV_BOARD_BASES 3       /* of enum consul_basis */
#define PROV_BOARD_REASONS 32    /* room for the reasons of base/error.h */
#define PROV_BOARD_TEXT 256

/*
 * A leaf that was presented. An odd sequence means that it is being written; it stays odd where the writer
 * has ended in between.
 */
typedef struct prov_board_leaf {
    atomic_uint sequence;
    _Atomic uint64_t service; /* a hash of the SPIFFE ID; 0 for a free place */
    _Atomic uint64_t content; /* a hash, to see a renewal */
    char id[PROV_BOARD_TEXT]; /* the SPIFFE ID, perhaps cut */
    char serial[64];
    int64_t valid_until; /* seconds since 1970 */
} prov_board_leaf;

/* A lane of a watch. The sequence is as above. */
typedef struct prov_board_lane {
    atomic_uint sequence;
    char of[16]; /* "roots", "leaf" or "intentions"; "" without an answer */
    char service[PROV_BOARD_TEXT];
    uint64_t index;   /* of the last answer; 0 while the agent does not answer */
    int64_t answered; /* seconds since 1970, of an answer with an index; 0 before the first */
} prov_board_lane;

/* A process of the family that has begun two handshakes. It writes here alone. */
typedef struct prov_board_process {
    _Atomic int32_t pid;        /* as the process sees it; 0 for a free place, -1 for a taken one */
    _Atomic uint32_t taken;     /* the number of earlier takings on the board */
    _Atomic int64_t busy_until; /* milliseconds of base/clock.h; 0 for a quiet one */
    _Atomic uint32_t verdicts;  /* identities with a kept verdict */
    prov_board_lane lanes[PROV_BOARD_LANES];
} prov_board_process;

/* The members of a board that do not change. */
typedef struct prov_board_head {
    int64_t started;                                          /* seconds since 1970 */
    char provider[PROV_BOARD_TEXT], openssl[PROV_BOARD_TEXT]; /* versions */
    char service[PROV_BOARD_TEXT]; /* of the settings; "" for stand-ins alone */
    char agent[PROV_BOARD_TEXT];   /* its address, without a password */
    char refusal[PROV_BOARD_TEXT]; /* why all TLS of the process is refused, or "" */
} prov_board_head;

typedef struct prov_board {
    uint64_t magic; /* the last member that is written at the start */
    prov_board_head head;
    _Atomic uint64_t
        admitted_clients[PROV_BOARD_BASES]; /* peers of a server, by enum consul_basis */
    _Atomic uint64_t admitted_servers;      /* peers of a client */
    _Atomic int64_t agent_answered;         /* seconds since 1970; 0 before the first answer */
    _Atomic int64_t agent_lost; /* likewise, of the last request that found the agent lost */
    _Atomic uint32_t roots;     /* the number that Consul lists; 0 before the first answer */
    _Atomic uint32_t taken;     /* takings of places in `processes` */
    _Atomic uint64_t roots_changed, slots_given_up;
    /* Handshakes, by reason - CONSUL_R_OUT_OF_MEMORY. */
    _Atomic uint64_t refused[PROV_BOARD_REASONS];
    prov_board_leaf leaves[PROV_BOARD_LEAVES];
    prov_board_process processes[PROV_BOARD_PROCESSES];
} prov_board;

/* Note the settings for the board, or a refusal for NULL. A later call changes nothing. */
void prov_board_describe(const consul_settings *settings, const consul_error *refusal);

/* Show this refusal from now on, which was found later than the description. A fork's own one does not count for its family. */
void prov_board_refuse(const consul_error *refusal);

/*
 * Show this process from now on, as it was described. A later call does nothing. A fork opens the board, too, as children
 * share it, and so does an event of the store. Where the kernel gives no memory, nothing is counted and shown.
 */
void prov_board_open(void);

/* Count a client that was admitted, a server that was, and a handshake that was refused. */
void prov_board_count_client(enum consul_basis basis);
void prov_board_count_server(void);
void prov_board_count_refused(int reason);

/* Show an event of the store. */
void prov_board_note_event(const consul_event *event);

/* Show the leaf that is presented. Does nothing for one that is shown. */
void prov_board_show_leaf(const consul_leaf *leaf);

#endif
