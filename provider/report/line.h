/* SPDX-License-Identifier: Apache-2.0 */
/* A line of the log: a record as text or as a JSON object. Pure functions; any thread. */
#ifndef PROV_REPORT_LINE_H
#define PROV_REPORT_LINE_H

#include "store.h"

#define PROV_LINE_MAX 4096 /* bytes, as PIPE_BUF: a pipe takes a line whole or not at all */

/* The statement of one line, doc/log.md; borrowed, and NULL for a fact that is not known. */
typedef struct prov_record {
    enum consul_log_level level;
    bool is_audit;             /* written because of the setting audit, at any level */
    const char *event;         /* the kind of the statement */
    const char *message;       /* the statement in words */
    const char *reason;        /* the short reason of a refusal, as on the error queue */
    const char *role;          /* of this end: "client" or "server" */
    const char *service;       /* of this end */
    const char *peer;          /* the SPIFFE ID of the other end */
    const char *name;          /* the host name that a client asks for */
    const char *serial;        /* of a certificate */
    const char *fingerprint;   /* of the peer's certificate */
    const char *client_random; /* of the handshake, in hexadecimal */
    const char *valid_until;   /* of a certificate, in UTC */
    const char *verdict;       /* the origin of the agent's yes */
    const char *address;       /* of the other end, a number */
    const char *port;          /* of the other end */
    const char *local_address, *local_port; /* of this end */
} prov_record;

/* The things that are common to all lines of a process. */
typedef struct prov_line_form {
    enum consul_log_format format;
    bool is_for_syslog;  /* RFC 3164, with a priority and without a time in the text */
    const char *program; /* as it was called */
    int pid;
    int64_t now; /* seconds since 1970 */
} prov_line_form;

/* The names of all fields of a JSON line; NULL ends them. */
extern const char *const prov_line_fields[];

/*
 * Write the line of a record, and return its length. The line is printable ASCII, and nothing in the record
 * can end it. A line for a file ends with a newline. Text that is too long is cut.
 */
size_t prov_line_write(char line[PROV_LINE_MAX], const prov_record *record,
                       const prov_line_form *form);

#endif
