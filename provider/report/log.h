/* The log that the setting `log` asks for. Any thread, any child of a fork. */
#ifndef PROV_REPORT_LOG_H
#define PROV_REPORT_LOG_H

#include "store.h"

/*
 * Write to where this setting says from now on: "stderr", "syslog" or a path. Anything else changes
 * nothing. A file is opened here, and again when it has been moved away or its descriptor closed;
 * one that can not be opened is tried again at each line.
 */
void prov_log_open(const char *setting);

/*
 * Write one line, printable and whole. Any thread, any child of a fork. Does not wait for a slow
 * reader, raises no signal, keeps errno; lines beyond a rate are counted and left out.
 */
void prov_log(const consul_error *err, const char *context, const char *about);

#endif
