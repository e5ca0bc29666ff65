/* SPDX-License-Identifier: Apache-2.0 */
/* The log of the settings log, log_level, log_format and audit. Any thread, any child of a fork. */
#ifndef PROV_REPORT_LOG_H
#define PROV_REPORT_LOG_H

#include "report/line.h"

typedef struct prov_log_settings {
    const char *sink; /* "off", "stderr", "syslog" or a path; NULL for the default */
    bool is_held;     /* the default one is opened at once, too */
    enum consul_log_level level;
    enum consul_log_format format;
    bool audit;
} prov_log_settings;

/*
 * Write the log to this sink from now on. Another instance's choice goes before a default, and before "off".
 * Return 0 for a file that cannot be opened.
 */
int prov_log_open(const prov_log_settings *settings, consul_error *err);

/* Return true if lines of this level are written, so that a caller may make one. Takes no lock. */
bool prov_log_wants(enum consul_log_level level);
bool prov_log_audits(void);

/*
 * Write one line, printable and whole. Does not wait for a slow reader, raises no signal, keeps errno. Lines
 * beyond a rate are counted and left out, but for those of an audit.
 */
void prov_log(const prov_record *record);

/* Write a line about an error, likewise; `context` (or NULL) stands before its text. */
void prov_log_error(enum consul_log_level level, const char *event, const consul_error *err,
                    const char *context);

#endif
