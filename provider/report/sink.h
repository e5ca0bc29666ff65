/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink of the log: a file, the host's stderr or the host's syslog. A process has one. The caller holds the
 * lock of the log. The sink must not harm its process, which belongs to a stranger. It does not wait, and
 * raises no signal. It writes to no descriptor that has become another file.
 */
#ifndef PROV_REPORT_SINK_H
#define PROV_REPORT_SINK_H

#include "store.h"

/*
 * Send lines to the sink of this setting from now on: "off", "stderr", "syslog" or a path. A file is opened
 * here, and again when it has been moved away or its descriptor closed. `is_held` opens the syslog here, too,
 * for a process that may lose sight of it. Return 0 for a file that cannot be opened; no line is written then.
 */
int prov_sink_open(const char *setting, bool is_held, consul_error *err);

bool prov_sink_is_open(void);
bool prov_sink_is_syslog(void);

/* Write a line, whole or not at all; false for one that was not written. Keeps errno. */
bool prov_sink_write(const char *line, size_t len);

#endif
