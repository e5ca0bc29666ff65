/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of ours on OpenSSL's error queue, and in the log. Any thread.
 */
#ifndef PROV_REPORT_ERROR_QUEUE_H
#define PROV_REPORT_ERROR_QUEUE_H

#include "store.h"

/* Make our reasons known to OpenSSL. Idempotent; 0 on failure. */
int prov_error_init(void);

/* Return the path of another copy of this module, which was loaded before; NULL without one. */
const char *prov_error_other_copy(void);

/*
 * Put an error on this thread's queue, and into the log as an event of that name. `context` (or NULL) stands
 * before its text. Without a reason the error is no error, and nothing is done.
 */
void prov_error_raise(enum consul_log_level level, const char *event, const consul_error *err,
                      const char *context);
void prov_error_queue(const consul_error *err, const char *context); /* the queue alone */

#endif
