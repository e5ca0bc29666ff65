/*
 * Errors of ours on OpenSSL's error queue, and in the log. Any thread.
 */
#ifndef PROV_REPORT_ERROR_QUEUE_H
#define PROV_REPORT_ERROR_QUEUE_H

#include "store.h"

/* Make our reasons known to OpenSSL. Idempotent; 0 on failure. */
int prov_error_init(void);

/*
 * Put an error on this thread's queue and into the log; `context` (or NULL) says in what, and
 * `about` (or NULL), in the log only, with whom. Does nothing for none.
 */
void prov_error_raise(const consul_error *err, const char *context, const char *about);
void prov_error_queue(const consul_error *err, const char *context); /* the queue alone */

#endif
